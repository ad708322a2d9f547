"""The atlas page in a browser, offline: every control is used, numbers are the library's."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from shallows.atlas import clopper_pearson, member
from shallows.atlas.site import Plan, ShownPoint, from_json
from shallows.atlas.site_census import shipped_census
from shallows.atlas.site_data import shown_arcs, site_data
from shallows.lab import Store
from shallows.report.site import write_site
from shallows.report.site.live import LiveSite

pytestmark = pytest.mark.slow

PHONE, DESK = (360, 780), (1280, 800)
PLAN = Plan(
    ("global", "II", "flipped:5", "I", "A"),
    (6, 10, 20, 1000),
    (),
    (2, 10),
    40,
    (("knots move", 0.5, 1.0), ("knots stay", 20.0, 0.5)),
)
PATIENCE = 60_000  # milliseconds; other tests and builds may share the machine
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = site_data(PLAN, shipped_census(), Store(tmp_path_factory.mktemp("store")))
    # All arcs at one place are enough.
    more = shown_arcs("II", 10, only_minimising=False)
    arcs = [more if (a.name, a.neurons) == ("II", 10) else a for a in made.arcs]
    return dataclasses.replace(made, arcs=tuple(arcs))


@pytest.fixture(scope="module")
def page_file(data, tmp_path_factory):
    return write_site(data, tmp_path_factory.mktemp("site") / "index.html", command="shallows a")


@contextmanager
def opened(browser: Browser, address: str, size=DESK, is_offline=True, **options) -> Iterator[Page]:
    """The page; a message on the console, an error or a request elsewhere fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
        **options,
    )
    context.set_offline(is_offline)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    home = address.partition("#")[0].rstrip("/")
    page.on(
        "request",
        lambda r: None if r.url.startswith((home, "data:")) else wrong.append(r.url),
    )
    page.goto(address)
    yield page
    context.close()
    assert wrong == []


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def cells(page: Page, table: str) -> list[list[str]]:
    return page.locator(f"#{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def choose(page: Page, family: str, k: int) -> None:
    page.locator(f'label[for="family-{family}"]').click()
    page.locator("#k").fill(str(PLAN.stops.index(k)))


@pytest.mark.parametrize("family", ["II", "I", "A", "flipped:5", "global"])
@pytest.mark.parametrize("k", [6, 20, 1000])
def test_numbers_shown_are_the_library_s(browser, page_file, family, k):
    found = member(family, k)
    with opened(browser, page_file.as_uri()) as page:
        choose(page, family, k)
        assert page.locator("#point-title").inner_text().replace("\u202f", "") == (
            f"{family} at k = {k}"
        )
        # All 17 digits, but 12 where families are side by side.
        exact = [found.value, float(found.spectrum()[0].eigenvalue)]
        assert [number(page.locator(i).inner_text()) for i in ("#loss", "#smallest")] == exact
        assert page.locator("#kind").inner_text() == found.kind().value
        assert page.locator("#isotropy").inner_text() == found.isotropy
        rows = cells(page, "spectrum-table")
        assert [(number(r[0]), int(r[1].replace("\u202f", "")), r[2]) for r in rows] == [
            (float(e.eigenvalue), e.multiplicity, e.representation.value) for e in found.spectrum()
        ]
        assert [number(r[3]) for r in cells(page, "weights-table")] == list(found.weights)
        row = cells(page, "map-table")[PLAN.families.index(family)]
        assert row[0] == family
        assert [number(text) for text in row[1:3]] == [float(f"{v:.12g}") for v in exact]


def test_the_picture_of_the_weights_is_the_matrix(browser, page_file):
    found = member("II", 10)
    with opened(browser, page_file.as_uri()) as page:
        choose(page, "II", 10)
        titles = page.locator("#weights rect title").all_text_contents()
        written = page.locator("#weights .in-cell").all_text_contents()
    matrix = found.blocks.embed(list(found.weights))
    drawn = np.array([number(title) for title in titles]).reshape(10, 10)
    assert np.allclose(drawn, matrix, rtol=1e-11, atol=0)
    assert np.allclose([number(text) for text in written], matrix.ravel(), atol=0.005)


def test_it_says_which_minima_are_hidden_and_what_is_proved(browser, page_file, data):
    with opened(browser, page_file.as_uri()) as page:
        for family, words in [
            ("II", "visible minimum"),
            ("A", "hidden minimum"),
            ("I", "hidden minimum"),
            ("global", "the goal: the student is the teacher"),
        ]:
            choose(page, family, 10)
            expect(page.locator("#badge")).to_have_text(words)
        choose(page, "I", 6)
        expect(page.locator("#badge")).to_contain_text("a saddle")
        choose(page, "A", 20)
        _, bound = clopper_pearson(0, 500, confidence=0.9)  # of one side, with confidence 0.95
        expect(page.locator("#training")).to_have_text(
            f"0 of 500 training runs ended here: a share below "
            f"{100 * bound:.2g} % (95 % confidence)."
        )
        choose(page, "A", 1000)
        expect(page.locator("#training")).to_have_text(
            "No census at this size: they go from 6 to 50."
        )
        choose(page, "A", 20)
        expect(page.locator("#verdict")).to_have_text("PROVED")
        (point,) = [p for p in data.points if (p.name, p.neurons) == ("A", 20)]
        expect(page.locator("#statement")).to_have_text(point.proof.statement)
        expect(page.locator("#enclosures dd").first).to_have_text(
            f"between {point.proof.loss[0]} and {point.proof.loss[1]}"
        )
        table = page.locator("#families-table tbody tr").all_inner_texts()
        assert [row.split()[:3] for row in table] == [
            ["II", "visible", "standard"],
            ["flipped:5", "visible", "standard"],
            ["I", "hidden", "exterior"],
            ["A", "hidden", "exterior"],
        ]


def test_every_control_works_from_the_keyboard(browser, page_file):
    with opened(browser, page_file.as_uri()) as page:
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.locator("#family-II").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#point-title")).to_contain_text("flipped:5 at")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the button of a smaller k
        expect(page.locator("#k-out")).to_have_text("6")
        expect(page.locator("#k-less")).to_be_disabled()
        page.locator("#k").focus()
        page.keyboard.press("End")
        expect(page.locator("#k-out")).to_have_text("1\u202f000")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#k")).to_have_attribute("aria-valuetext", "k = 20")
        expect(page.locator("#all-arcs")).to_be_disabled()
        page.locator("#k-more").click()
        expect(page.locator("#k-more")).to_be_disabled()

        choose(page, "II", 10)
        few = page.locator("#arcs-table tbody tr").count()
        page.locator("#all-arcs").focus()
        page.keyboard.press("Space")
        assert page.locator("#arcs-table tbody tr").count() > few > 0
        for summary in page.locator("summary").all():
            summary.focus()
            page.keyboard.press("Enter")
        assert page.locator("details[open]").count() == page.locator("details").count() > 3

        page.locator("#census-k").focus()
        page.keyboard.press("Home")
        expect(page.locator("#census-text")).to_contain_text("global minimum: 498")
        page.locator("#portrait-size-10").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#portrait-table caption")).to_contain_text("k = 2")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#portrait-note")).to_contain_text("is type A")


def test_the_player_plays_steps_and_stops(browser, page_file, data):
    with opened(browser, page_file.as_uri()) as page:
        said = page.locator("#fit-out")
        expect(said).to_contain_text("step 0 of")  # nothing moves by itself
        expect(page.locator("#fit-back")).to_be_disabled()
        page.locator("#fit-forward").click()
        expect(said).to_contain_text("step 1 of")
        page.locator("#fit-back").click()
        expect(said).to_contain_text("step 0 of")
        page.locator("#fit-play").click()
        expect(page.locator("#fit-play")).to_have_text("Pause")
        expect(said).not_to_contain_text("step 0 of")
        page.locator("#fit-play").click()
        expect(page.locator("#fit-play")).to_have_text("Play")
        page.locator("#fit-step").focus()
        page.keyboard.press("End")
        fit = data.fits[0]
        expect(said).to_contain_text(f"step {len(fit.times) - 1} of {len(fit.times) - 1}")
        assert number(said.inner_text().rpartition("loss ")[2]) == float(f"{fit.losses[-1]:.4g}")
        expect(page.locator("#fit-forward")).to_be_disabled()
        page.locator('label[for="fit-start-1"]').click()
        expect(said).to_contain_text("step 0 of")
        expect(page.locator("#fit-note")).to_contain_text("κ = 20")


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_or_overlaps(browser, page_file, size, scheme):
    with opened(browser, page_file.as_uri(), size, color_scheme=scheme) as page:
        for family, k in [("II", 10), ("A", 1000), ("flipped:5", 6)]:
            choose(page, family, k)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0
            cut = page.evaluate(
                """() => [...document.querySelectorAll('.picture svg')].flatMap(svg => {
                    const frame = svg.getBoundingClientRect();
                    return [...svg.querySelectorAll('text')].filter(text => {
                        const box = text.getBoundingClientRect();
                        return box.right > frame.right + 1 || box.left < frame.left - 1;
                    }).map(text => text.textContent);
                })"""
            )
            assert cut == []
            overlapping = page.evaluate(
                """() => [...document.querySelectorAll('.picture svg')].flatMap(svg => {
                    const texts = [...svg.querySelectorAll('text')];
                    const boxes = texts.map(text => text.getBoundingClientRect());
                    const found = [];
                    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
                        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                        const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                        if (wide > 1 && tall > 4) {
                            found.push(`${texts[i].textContent} | ${texts[i + 1 + j].textContent}`);
                        }
                    }));
                    return found;
                })"""
            )
            assert overlapping == []


def test_colours_have_contrast_and_controls_have_names(browser, page_file):
    for scheme in ("light", "dark"):
        with opened(browser, page_file.as_uri(), color_scheme=scheme) as page:
            colours = page.evaluate(
                """() => { const style = getComputedStyle(document.documentElement);
                    return ['paper', 'ink', 'soft', 'link', 'cool-1', 'cool-2', 'cool-3',
                            'warm-1', 'warm-2'].map(n => style.getPropertyValue(`--${n}`)); }"""
            )
            paper, *others = [_luminance(c.strip()) for c in colours]
            contrast = [(max(paper, c) + 0.05) / (min(paper, c) + 0.05) for c in others]
            assert min(contrast) >= 4.5  # all of them are colours of text
            named = page.evaluate(
                """() => [...document.querySelectorAll('input, button')].filter(e =>
                    !(e.labels && e.labels.length) && !e.ariaLabel && !e.textContent.trim())
                    .map(e => e.id)"""
            )
            assert named == []


def _luminance(colour: str) -> float:
    text = colour.lstrip("#")
    text = "".join(c * 2 for c in text) if len(text) == 3 else text
    parts = [int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_less_motion_is_respected_and_the_page_is_light(browser, page_file):
    with opened(browser, page_file.as_uri(), reduced_motion="reduce") as page:
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        spent = page.evaluate(
            "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart"
        )
        page.locator("#fit-play").click()
        page.wait_for_timeout(700)
        expect(page.locator("#fit-out")).to_contain_text("step 0 of")
    assert page_file.stat().st_size < 10e6
    assert spent < 2000


def test_a_served_page_computes_sizes_between_the_stops(browser, data):
    server = LiveSite(0)
    server.show(data)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with opened(browser, server.address, is_offline=False) as page:
            page.locator("#any-k").fill("123")
            page.locator("#live button").click()
            expect(page.locator("#point-title")).to_have_text("II at k = 123")
            shown = number(page.locator("#loss").inner_text())
            assert shown == member("II", 123).value
            assert page.evaluate("location.hash") == "#family=II&k=123"
            page.locator('label[for="family-A"]').click()
            shown = number(page.locator("#loss").inner_text())
            assert shown == member("A", 123).value
            page.locator("#k-less").click()
            expect(page.locator("#k-out")).to_have_text("20")
        with opened(browser, server.address + "#family=global&k=124", is_offline=False) as page:
            expect(page.locator("#point-title")).to_have_text("global at k = 124")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_address_says_what_is_shown_and_the_browser_goes_back(browser, page_file):
    title = "#point-title"
    with opened(browser, page_file.as_uri() + "#family=A&k=1000") as page:
        expect(page.locator(title)).to_have_text("A at k = 1\u202f000")
        expect(page.locator("#family-A")).to_be_checked()
        page.locator('label[for="family-II"]').click()
        expect(page.locator(title)).to_have_text("II at k = 1\u202f000")
        assert page.evaluate("location.hash") == "#family=II&k=1000"
        page.wait_for_timeout(1100)  # what follows at once is the same step
        page.locator("#k-less").click()
        page.locator("#k-less").click()
        assert page.evaluate("location.hash") == "#family=II&k=10"
        expect(page.locator("#census-out")).to_have_text("k = 10")  # the census follows
        page.locator('nav a[href="#proof"]').click()
        expect(page.locator(title)).to_have_text("II at k = 10")
        for back, words in [
            ("go_back", "II at k = 10"),
            ("go_back", "II at k = 1\u202f000"),
            ("go_back", "A at k = 1\u202f000"),
            ("go_forward", "II at k = 1\u202f000"),
        ]:
            getattr(page, back)()
            expect(page.locator(title)).to_have_text(words)
    # A size that is not on the page leads to the next one; nonsense leads nowhere.
    for fragment, words in [
        ("#family=I&k=12", "I at k = 10"),
        ("#family=I&k=99999", "I at k = 1\u202f000"),
        ("#family=III&k=6", "II at k = 10"),
        ("#family=I&k=-1", "II at k = 10"),
    ]:
        with opened(browser, page_file.as_uri() + fragment) as page:
            expect(page.locator(title)).to_have_text(words)


def test_numbers_that_are_copied_read_back(browser, page_file, data):
    with opened(browser, page_file.as_uri(), permissions=["clipboard-read"]) as page:
        choose(page, "I", 6)
        page.locator("#copy").click()
        expect(page.locator("#copied")).to_have_text("Copied.")
        (point,) = [p for p in data.points if (p.name, p.neurons) == ("I", 6)]
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert from_json(ShownPoint, copied) == point
        page.evaluate("getSelection().selectAllChildren(document.getElementById('smallest'))")
        page.keyboard.press("Control+c")
        assert float(page.evaluate("navigator.clipboard.readText()")) == point.smallest_eigenvalue
        choose(page, "A", 1000)
        page.evaluate("getSelection().selectAllChildren(document.getElementById('flipped'))")
        page.keyboard.press("Control+c")
        assert page.evaluate("navigator.clipboard.readText()") == "1000"


def test_a_table_that_is_wider_than_a_phone_keeps_its_first_column(browser, page_file):
    with opened(browser, page_file.as_uri(), PHONE) as page:
        table = page.locator("#map-table")
        table.scroll_into_view_if_needed()
        assert table.evaluate("e => e.scrollWidth > e.clientWidth")
        table.evaluate("e => e.scrollTo({left: 1e4, behavior: 'instant'})")
        first = table.locator("tbody th").first
        assert first.get_attribute("scope") == "row"
        left = "e => e.getBoundingClientRect().left"
        assert first.evaluate(left) == pytest.approx(table.evaluate(left), abs=1)


def test_pictures_fit_on_paper_and_paper_is_white(browser, page_file):
    with opened(browser, page_file.as_uri(), color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
        # Paper is narrower than the window that pictures were drawn for.
        page.add_style_tag(content="#weights svg, #spectrum svg { width: 2000px }")
        wide = "e => e.getBoundingClientRect().width <= e.parentElement.clientWidth + 1"
        assert page.locator("#spectrum svg").evaluate(wide)

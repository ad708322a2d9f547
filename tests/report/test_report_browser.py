"""The pages in a real browser: Debian's Chromium, driven by playwright, without a network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from catalogues import many_families, nothing_settled, range_of_sizes, rectangular, reference_census
from exhibits import two_exhibits
from playwright.sync_api import Browser, Page, expect

from shallows.report import write_atlas_report, write_report, write_shelf_report

COMMAND = "shallows census -d 10 -k 10 --starts 1000 --seed 0 --optimiser gd --out runs/" + "x" * 99
PHONE, DESK = (390, 844), (1280, 800)
PATIENCE = 60_000  # milliseconds; other tests and builds may share the machine
expect.set_options(timeout=PATIENCE)
UNDRAWN = """() => [...document.querySelectorAll('.plot')]
    .filter(div => !div.querySelector('svg.main-svg')).length"""


@contextmanager
def opened(browser: Browser, path, size=DESK, fragment="") -> Iterator[Page]:
    """A page on disk, without a network; anything that goes wrong on it fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_offline(True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url),
    )
    page.goto(path.as_uri() + fragment)
    yield page
    context.close()
    assert wrong == []


def draw_everything(page: Page) -> None:
    """Stop at every figure, as a reader does, until it is drawn.

    A figure is drawn by a frame that shows it, so that one that is passed between two frames of a
    busy machine stays blank until somebody stops at it: this once failed by scrolling too fast.
    """
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg.main-svg").first).to_be_attached()


def overflow(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(reference_census(), path, command=COMMAND)


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_every_figure_draws_and_nothing_overflows(browser, report, size):
    with opened(browser, report, size) as page:
        draw_everything(page)
        assert page.locator(".plot").count() == 2 + 3 * 3
        assert overflow(page) <= 0
        clipped = page.evaluate(
            """() => [...document.querySelectorAll('.plot')].filter(
                div => div.querySelector('svg.main-svg').clientWidth > div.clientWidth).length"""
        )
        assert clipped == 0
        assert page.locator(".plot path.point").count() > 20


def test_figures_that_were_passed_between_two_frames_are_drawn_on_the_way_back(browser, report):
    """As on a busy machine: it jumps to the end and back, and shows no frame in between."""
    with opened(browser, report) as page:
        page.evaluate(
            """() => { for (let y = 0; y < document.documentElement.scrollHeight; y += 200)
                           window.scrollTo(0, y); window.scrollTo(0, 0); }"""
        )
        assert page.evaluate(UNDRAWN) > 0
        draw_everything(page)
        assert page.evaluate(UNDRAWN) == 0


def test_table_and_figure_show_the_numbers_of_the_census(browser, report):
    found = reference_census()
    with opened(browser, report) as page:
        shown = page.locator("table.families tbody tr")
        assert shown.count() == len(found.families)
        for i, member in enumerate(found.families):
            cells = shown.nth(i).locator("th, td").all_inner_texts()
            assert cells[0] == member.name
            assert int(cells[3]) == member.count
            assert float(cells[5]) == pytest.approx(member.loss, rel=5e-8)
            assert float(cells[6]) == pytest.approx(member.smallest_eigenvalue, rel=5e-8)
        draw_everything(page)
        drawn = page.evaluate(
            """() => document.querySelector('[data-plot=landscape]').data.map(
                trace => [trace.x[0], trace.y[0]])"""
        )
        for point, member in zip(drawn, found.families, strict=True):
            assert point == pytest.approx([member.loss, member.smallest_eigenvalue], rel=1e-10)
        matrix = page.evaluate(
            "() => document.querySelectorAll('[data-plot=weights]')[1].data[0].z"
        )
        assert matrix == found.families[1].weights.tolist()


def test_weights_and_command_can_be_copied_and_read(browser, report):
    found = reference_census()
    with opened(browser, report) as page:
        page.get_by_role("button", name="Copy weights as JSON").nth(1).click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert copied["name"] == "II"
        assert copied["weights"] == found.families[1].weights.tolist()
        page.get_by_role("button", name="Copy command").click()
        assert page.evaluate("navigator.clipboard.readText()") == COMMAND
        page.get_by_text("Weights as text").first.click()
        text = page.get_by_label("Weights of global as JSON").input_value()
        assert json.loads(text)["weights"] == found.families[0].weights.tolist()
        page.get_by_text("Spectrum as a table").nth(1).click()
        levels = page.locator("table.levels").nth(1).locator("tbody tr")
        assert levels.count() == len(found.families[1].spectrum)


def test_keyboard_reaches_links_sections_and_buttons(browser, report):
    focused = "document.activeElement.textContent.trim()"
    with opened(browser, report) as page:
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "Skip to the content"
        names = []
        for _ in range(30):
            page.keyboard.press("Tab")
            names.append(page.evaluate(focused))
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none", names[-1]
            if names[-1].startswith("global") and page.evaluate(
                "document.activeElement.tagName === 'SUMMARY'"
            ):
                break
        assert {"global", "II", "flipped:2", "Open all", "Close all"} <= set(names)
        page.keyboard.press("Enter")
        expect(page.locator("#family-1")).not_to_have_attribute("open", "")


def test_many_families_load_fast_draw_late_and_open_from_links(browser, tmp_path):
    path = write_report(many_families(), tmp_path / "report.html")
    with opened(browser, path, PHONE) as page:
        seconds = page.evaluate("performance.getEntriesByType('navigation')[0].duration / 1000")
        # Two seconds on an idle machine; tests share theirs.
        assert seconds < 6
        assert page.evaluate(UNDRAWN) >= 80
        assert overflow(page) <= 0
        section = page.locator("#family-5")
        expect(section).not_to_have_attribute("open", "")
        page.locator('a[href="#family-5"]').click()
        expect(section).to_have_attribute("open", "")
        expect(section.locator("svg.main-svg").first).to_be_visible()
        page.get_by_role("button", name="Close all").click()
        assert page.locator("details.family[open]").count() == 0
        page.locator('a[href="#family-5"]').click()
        expect(section).to_have_attribute("open", "")
        page.get_by_role("button", name="Open all").click()
        assert page.locator("details.family[open]").count() == 30
        page.locator("#family-30 .plot").last.scroll_into_view_if_needed()
        expect(page.locator("#family-30 svg.main-svg").last).to_be_visible()
        assert overflow(page) <= 0
    with opened(browser, path, fragment="#family-7") as page:
        expect(page.locator("#family-7")).to_have_attribute("open", "")


@pytest.mark.parametrize("make", [nothing_settled, rectangular])
def test_nasty_censuses_draw_and_nothing_offers_to_leave_the_page(browser, make, tmp_path):
    path = write_report(make(), tmp_path / "report.html")
    with opened(browser, path) as page:
        draw_everything(page)
        assert overflow(page) <= 0
        # plotly.js 4 shows a button that uploads the figure unless it is told not to.
        titles = page.locator(".modebar-btn").evaluate_all(
            "buttons => buttons.map(button => button.dataset.title)"
        )
        assert "Download plot as a PNG" in titles
        assert not [title for title in titles if "loud" in title or "hare" in title]
        assert page.locator(".modebar-btn--logo").count() == 0


def test_atlas_draws_and_follows_the_width_of_the_window(browser, tmp_path):
    path = write_atlas_report(range_of_sizes(), tmp_path / "atlas.html", command=COMMAND)
    with opened(browser, path) as page:
        draw_everything(page)
        assert overflow(page) <= 0
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        page.wait_for_function(
            "() => document.querySelector('.plot svg.main-svg').clientWidth <= 390"
        )
        assert overflow(page) <= 0
        assert page.locator("[data-plot=atlas] .legendtext").count() > 8


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_the_shelf_leads_from_each_cell_to_its_claim(browser, tmp_path, size):
    command = "shallows report --run smoke --out " + "x" * 99
    path = write_shelf_report(two_exhibits(), tmp_path / "shelf.html", command=command)
    with opened(browser, path, size) as page:
        assert overflow(page) <= 0
        cells = page.locator(".matrix a.verdict")
        assert cells.count() == 6
        for cell in cells.all():
            cell.click()
            target = page.locator(page.evaluate("location.hash"))
            expect(target).to_be_in_viewport()
            assert target.locator("h3 .verdict").inner_text() == cell.inner_text().split(" ", 1)[1]
        shown = page.evaluate("[...document.images].map(one => one.naturalWidth)")
        assert len(shown) == 1
        assert shown[0] > 100
        page.get_by_role("button", name="Copy the command for luther-seung-2019").click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == "shallows run luther-seung-2019 --scale smoke"


CONTRAST = """() => {
    const light = (text) => {
        const parts = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(p => p / 255)
            .map(p => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (colour !== "rgba(0, 0, 0, 0)") return colour;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll("main *")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .map(e => {
            const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 90)];
        }).sort((one, other) => one[0] - other[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_the_shelf_can_be_read_by_day_and_by_night(browser, tmp_path, scheme):
    path = write_shelf_report(two_exhibits(), tmp_path / "shelf.html", command="shallows report")
    with opened(browser, path) as page:
        page.emulate_media(color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        least, where = page.evaluate(CONTRAST)
        assert least >= 4.5, where


def test_the_matrix_leads_to_the_first_claim_of_a_kind_and_back(browser, tmp_path):
    path = write_shelf_report(two_exhibits(), tmp_path / "shelf.html", command="shallows report")
    with opened(browser, path, PHONE) as page:
        box = page.locator(".verdicts").bounding_box()
        assert box
        assert box["width"] <= PHONE[0]
        page.get_by_role("link", name="1 CONTRADICTED: claim-contradicted").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#tian-2017--claim-contradicted")).to_be_in_viewport()
        page.get_by_role("link", name="All papers").first.click()
        expect(page.locator("#matrix")).to_be_in_viewport()

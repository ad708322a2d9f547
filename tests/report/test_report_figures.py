"""The printed figures: what they draw, that nothing is cut, that they are reproducible."""

import numpy as np
import pytest
from catalogues import (
    census,
    family,
    many_families,
    nothing_settled,
    range_of_sizes,
    rectangular,
    reference_census,
    single_neuron,
)
from matplotlib.text import Text

from shallows.report import Share, atlas_figure, census_figure, save_figure
from shallows.report.scales import FLOOR, OTHERS, isotropies, labelled, percent_ticks, ramp
from shallows.report.sizes import bands, mean_flipped, mean_loss

FIGURES = {
    "reference": lambda: census_figure(reference_census()),
    "nothing": lambda: census_figure(nothing_settled()),
    "many": lambda: census_figure(many_families()),
    "rectangular": lambda: census_figure(rectangular()),
    "single": lambda: census_figure(single_neuron()),
    "atlas": lambda: atlas_figure(range_of_sizes()),
    "uneven": lambda: atlas_figure(range_of_sizes([6, 10, 50])),
    "one size": lambda: atlas_figure(range_of_sizes([10])),
}


def visible_texts(figure):
    # Ticks outside the limits of an axis are kept by matplotlib, and not drawn.
    skipped = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in axis.get_major_ticks():
                if not low - slack <= tick.get_loc() <= high + slack:
                    skipped |= {tick.label1, tick.label2}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in skipped
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_off(name):
    figure = FIGURES[name]()
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text


@pytest.mark.parametrize("name", ["reference", "rectangular", "single", "atlas", "uneven"])
def test_no_two_texts_overlap(name):
    figure = FIGURES[name]()
    figure.canvas.draw()
    boxes = [(text, text.get_window_extent().shrunk(0.95, 0.8)) for text in visible_texts(figure)]
    for i, (text, box) in enumerate(boxes):
        for other, beside in boxes[:i]:
            assert not box.overlaps(beside), (text, other)


def test_bars_and_points_are_the_numbers_of_the_census():
    found = reference_census()
    left, right, *_ = census_figure(found).axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx(
        [100 * member.count / found.starts for member in found.families]
    )
    segments = left.collections[0].get_segments()
    for segment, member in zip(segments, found.families, strict=True):
        interval = Share(member.count, found.starts).interval
        assert segment[:, 0] == pytest.approx(100 * np.array(interval))
    points = [tuple(map(float, c.get_offsets()[0])) for c in right.collections]
    assert points == [(member.loss, member.smallest_eigenvalue) for member in found.families]


def test_matrices_share_one_scale_centred_at_zero():
    found = reference_census()
    pictures = [axes.images[0] for axes in census_figure(found).axes if axes.images]
    assert len(pictures) == 3
    assert {picture.get_clim() for picture in pictures} == {(-1.0, 1.0)}
    for picture, member in zip(pictures, found.families, strict=True):
        assert np.array_equal(picture.get_array(), member.weights)


def test_saved_figures_are_byte_for_byte_reproducible(tmp_path):
    first = save_figure(census_figure(reference_census()), tmp_path / "new" / "census.k10")
    second = save_figure(census_figure(reference_census()), tmp_path / "again")
    assert [path.name for path in first] == ["census.k10.png", "census.k10.pdf"]
    assert sorted(p.name for p in first[0].parent.iterdir()) == ["census.k10.pdf", "census.k10.png"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    pdf = first[1].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf


def test_bands_add_up_to_one_and_group_at_the_cap():
    censuses = range_of_sizes(range(6, 31, 6))
    for cap in (1, 3, 100):
        found = bands(censuses, cap)
        assert np.sum([band.shares for band in found], axis=0) == pytest.approx(1)
    labels = [band.label for band in bands(censuses, 3)]
    assert labels == ["global", "1 flipped", "2 flipped", "≥ 3 flipped", "not settled"]
    other = census([family("unnamed:x", count=4), family("global", count=5)], starts=9)
    assert [band.label for band in bands([other])] == ["global", "0 flipped"]
    with pytest.raises(ValueError, match=r"cap=0\. Pass cap >= 1"):
        atlas_figure(censuses, cap=0)


def test_means_over_the_settled_starts():
    found = census(
        [family("global", count=3), family("flipped:2", flipped=2, loss=0.04, count=1)], starts=10
    )
    assert mean_flipped(found) == pytest.approx((0.5, np.sqrt(0.75 / 4)))
    assert mean_loss(found) == pytest.approx(0.01)
    assert mean_loss(found, spurious=True) == 0.04
    assert np.isnan(mean_loss(nothing_settled()))
    assert np.isnan(mean_flipped(nothing_settled())).all()


def test_isotropies_are_told_apart_by_colour_and_shape():
    styles = isotropies(many_families().families, most=10)
    own = [style for style in styles.values() if style[1] != "cross"]
    assert len(own) == len(set(own)) == 10
    assert len(styles) == 40
    assert OTHERS not in styles


def test_scales():
    assert (ramp(0), ramp(1), ramp(-3), ramp(7)) == ("#440154", "#fde725", "#440154", "#fde725")
    assert percent_ticks(122) == [0, 20, 40, 60, 80, 100]
    assert percent_ticks(6.1) == [0, 1, 2, 3, 4, 5, 6]
    assert FLOOR > 0


def test_a_name_covers_no_point_of_another_family():
    # What a census of 1000 starts at k = 10 finds: the name of the fourth hid the fifth, and
    # that of the fifth would touch the sixth.
    places = {
        "global": (0.0, 0.0908),
        "II": (0.0187, 0.0320),
        "flipped:2": (0.0353, 0.0160),
        "unflipped:4": (0.0546, 0.0020),
        "unflipped:3": (0.0613, 0.0075),
        "I": (0.0721, 0.0149),
    }
    families = [
        family(name, loss=loss, smallest_eigenvalue=least, isotropy=f"ΔS{i}")
        for i, (name, (loss, least)) in enumerate(places.items())
    ]
    named = labelled(families, isotropies(families))
    assert [families[i].name for i in named] == ["global", "II", "flipped:2", "I"]

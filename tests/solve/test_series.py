"""Power series of the named families: coefficients, closed forms, and the numbers themselves."""

import functools
import json
import math
from fractions import Fraction

import flint
import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest

from shallows.atlas.families import member
from shallows.atlas.series import series
from shallows.cli.series import series as command
from shallows.cli.series import series_document
from shallows.solve.relations import closed_form
from shallows.symmetry.laurent import Laurent, LostDigitsError, UnknownTermsError
from shallows.symmetry.power_series import PowerSeries

NUMBERS = PowerSeries(200, 12)


@functools.cache
def found(name, terms=4, bits=512):
    return series(name, terms, bits=bits)


def forms(terms):
    return {float(t.power): t.closed_form for t in terms}


def values(terms):
    return {float(t.power): float(t.coefficient) for t in terms}


def evaluated(terms, k):
    return sum((t.coefficient * flint.arb(k) ** _arb(t.power) for t in terms), flint.arb(0))


def _arb(x: Fraction):
    return flint.arb(x.numerator) / x.denominator


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A", {0: "1/2 - 1/pi", -0.5: "-4/(3*pi)", -1: "-1/2 + 3/pi - 2/pi^2"}),
        ("I", {0: "1/2 - 1/pi", -0.5: "-4/(3*pi)", -1: "-1 + 5/pi - 4/pi^2"}),
        (
            "II",
            {
                -1: "1/2 - 2/pi^2",
                -1.5: "-32/(3*pi^4)",
                -2: "-1/2 - 7/(3*pi) - 8/pi^2 + 20/pi^3 + 16/pi^4 - 128/pi^6",
            },
        ),
        ("flipped:2", {-1: "1 - 4/pi^2", -1.5: "-64/(3*pi^4)"}),
    ],
)
def test_losses_have_their_closed_forms(name, expected):
    assert forms(found(name).loss).items() >= expected.items()


def test_the_table_of_losses_in_the_notes_is_right():
    assert [t.closed_form for t in found("A", 5).loss[3:]] == [
        "58/(15*pi) - 8/pi^2",
        "1/2 - 16/(3*pi) - 2/pi^2 + 4/pi^3",
    ]
    assert [t.closed_form for t in found("I", 5).loss[3:]] == [
        "88/(15*pi) - 8/pi^2 - 16/pi^3 + 32/(3*pi^4)",
        "1 - 49/(3*pi) + 42/pi^2 - 64/pi^3 - 80/pi^4 + 256/pi^5 - 128/pi^6",
    ]


def test_losses_have_the_coefficients_that_were_fitted():
    # facts 3.3
    assert values(found("A").loss)[-1] == pytest.approx(0.2522873, abs=5e-8)
    assert values(found("I").loss)[-1] == pytest.approx(0.1862647, abs=5e-8)
    for power, printed in {-1: 0.2973576, -1.5: -0.1095038, -2: -1.3771468}.items():
        assert values(found("II").loss)[power] == pytest.approx(printed, abs=5.1e-8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A", [{-1: "2", -2: "-4 + 8/pi", -2.5: "4/3 + 16/pi"}, {-2: "-2 + 4/pi", -2.5: "8/pi"}]),
        (
            "I",
            [
                {0: "-1", -1: "2", -2: "-4 + 16/pi"},
                {-1: "2", -2: "-2 + 8/pi"},
                {-2: "-12/pi + 16/pi^2"},
                {-1: "2 - 4/pi"},
                {0: "1", -1: "8/pi - 8/pi^2"},
            ],
        ),
        (
            "II",
            [
                {0: "1", -2: "8/pi"},
                {-2: "-4/pi", -2.5: "-32/pi^3"},
                {-1: "2", -2: "-2 - 8/pi"},
                {-1: "4/pi", -1.5: "32/pi^3"},
                {0: "-1", -1: "2 + 8/pi + 8/pi^2"},
            ],
        ),
    ],
)
def test_weights_have_their_closed_forms(name, expected):
    for terms, some in zip(found(name).weights, expected, strict=True):
        assert forms(terms).items() >= some.items()


def test_weights_have_the_coefficients_that_were_fitted():
    # facts 3.3, to every printed digit
    first, second = found("I").weights, found("II").weights
    assert values(first[3])[-1.5] == pytest.approx(-2.2102288, abs=5.1e-8)
    assert values(first[4])[-1.5] == pytest.approx(-4.7987512, abs=5.1e-8)
    assert values(second[0])[-2.5] == pytest.approx(-3.0134774, abs=5.1e-8)
    assert values(second[1])[-2.5] == pytest.approx(-1.0320491, abs=5.1e-8)
    assert values(second[4])[-1.5] == pytest.approx(-1.6994317, abs=5.1e-8)
    assert values(found("flipped:2").weights[5])[-1] == pytest.approx(1.922756, abs=5.1e-7)


def test_eigenvalues_have_their_closed_forms():
    # facts 4.4
    def leading(name, component):
        return [
            [t.closed_form for t in e.terms[:2]]
            for e in found(name).eigenvalues
            if e.representation.value == component
        ]

    assert leading("A", "exterior") == leading("I", "exterior") == [["1/4 - 1/(2*pi)", "-1/pi"]]
    assert leading("A", "two-row") == [["1/4 + 1/(2*pi)", "-1/pi"]]
    assert leading("A", "standard")[1:] == [["1/4", "-2/pi"], ["1/4", "1/4"]]
    (bulk,) = (e for e in found("II").eigenvalues if e.representation.value == "exterior")
    assert forms(bulk.terms).items() >= {0: "1/4 - 1/(2*pi)", -1: "-1/pi"}.items()
    assert bulk.multiplicity == "k^2/2 - 5k/2 + 3"
    assert ["1/4 - 1/(2*pi)", "-1/pi^2"] in leading("II", "standard")
    assert ["1/4 + 1/(2*pi)", "-1/pi + 1/pi^2"] in leading("I", "standard")
    assert ["1/4", "-2/pi + 4/pi^2"] in leading("I", "trivial")
    assert ["1/4", "-4/pi^2"] in leading("II", "trivial")
    for name in ("A", "I", "II"):
        large = {k: c for k, c in leading(name, "trivial") if c is not None}
        assert large["1/(2*pi)"] == "(1/4 - 3/(2*pi) + 1/pi^2)/(1 - 2/pi)"  # −0.34714


def test_pairs_of_flipped_neurons_bring_in_square_roots():
    (bulk,) = (e for e in found("flipped:2").eigenvalues if e.representation.value == "exterior")
    assert forms(bulk.terms)[-1] == "-sqrt(2)/pi"


@pytest.mark.parametrize("name", ["A", "I", "II", "flipped:2", "unflipped:2"])
@pytest.mark.parametrize("k", [10**10, 10**12])
def test_points_in_balls_differ_by_the_first_omitted_term(name, k):
    made, point = found(name), member(name, k)
    with point.numbers.precision():
        exact = [(made.loss, point.loss.value(point.point, point.numbers))]
        # Weights in any order of blocks: what matters is which sets of numbers there are.
        ours = sorted((evaluated(w, k) for w in made.weights), key=float)
        pairs = zip(ours, sorted(point.point, key=float), strict=True)
        assert all(abs(float((a - b) / b)) < 1e4 * k**-1.5 for a, b in pairs)
        exact += zip(
            (e.terms for e in sorted(made.eigenvalues, key=lambda e: float(evaluated(e.terms, k)))),
            (e.eigenvalue for e in point.spectrum()),
            strict=True,
        )
        for terms, value in exact:
            # Four terms are known; coefficients grow like powers of about 4.
            omitted = float(k) ** (float(terms[-1].power) - 0.5)
            assert abs(float(evaluated(terms, k) - value)) < 1e4 * omitted


def test_more_digits_confirm_every_ball():
    rough, sharp = found("II", 4, 300), found("II", 4, 600)
    for a, b in zip(_all_terms(rough), _all_terms(sharp), strict=True):
        assert a.power == b.power
        assert a.coefficient.overlaps(b.coefficient)
        assert a.coefficient.rad() < flint.arb("1e-60")
        assert b.coefficient.rad() < a.coefficient.rad()


def _all_terms(made):
    parts = [made.loss, *made.weights, *(e.terms for e in made.eigenvalues)]
    return [t for terms in parts for t in terms]


def test_one_term_and_what_is_printed(capsys):
    document = series_document(found("A", 1))
    assert document["loss"] == [
        {"power": 0, "coefficient": "0.181690113816209328462232473255", "closed_form": "1/2 - 1/pi"}
    ]
    assert list(document["weights"]) == ["ξ1", "ξ2"]
    assert document["eigenvalues"][0]["terms"][0]["closed_form"] == "1/(2*pi)"
    command("A", terms=1, as_json=True)
    assert json.loads(capsys.readouterr().out) == document
    command("A", terms=1)
    assert "1/2 - 1/pi" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "terms", "text"),
    [
        ("A", 0, "at least one term, but terms=0. Ask for 1 or more"),
        ("A", 2.5, "but terms=2.5. Ask for 1 or more, a whole number"),
        ("B", 1, "There is no family called 'B'"),
        ("flipped:k/2", 1, "There is no family called 'flipped:k/2'"),
        ("global", 1, "`global` is the teacher at every k"),
        ("intermediate:1", 1, "its leading terms for large k are not known"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_what_has_no_series_is_refused(name, terms, text):
    with pytest.raises(ValueError, match=text):
        series(name, terms)


# Numbers: Laurent polynomials with small whole coefficients, and series cut off somewhere.
whole = st.tuples(st.lists(st.integers(-5, 5), max_size=5), st.integers(-3, 3))
leads = st.sampled_from([-3, -1, 1, 2])
EPSILON = 1e-4


def number(question, order=None):
    coefficients, valuation = question
    return Laurent(coefficients, valuation, order)


def same(a, b):
    """Whether two numbers agree as far as both are known."""
    rest = a - b
    return rest.is_zero or rest.is_unknown


@hp.given(whole, whole, whole, st.none() | st.integers(4, 9))
def test_series_are_a_ring(x, y, z, order):
    with NUMBERS.precision():
        a, b, c = number(x, order), number(y), number(z)
        assert same((a + b) * c, a * c + b * c)
        assert same(a * b, b * a)
        assert same((a + b) - b, a)
        assert (b - b).is_zero
        if b.coefficients:
            assert same(a / b * b, a)


@hp.given(whole, leads)
def test_roots_and_order_are_those_of_functions(x, lead):
    with NUMBERS.precision():
        a = 1 + abs(lead) * Laurent([1], 1) * number((x[0], 0))
        assert same(a.sqrt() * a.sqrt(), a)
        square = a * a * Laurent([1], -2)
        assert same(square.sqrt(), a * Laurent([1], -1))
        b = number(x)
        if b.coefficients:
            assert (b > 0) == (b(EPSILON) > 0)
            assert (b < 0) != (b > 0)


@hp.given(whole, whole, leads, leads)
def test_angles_are_those_of_floats_at_a_small_number(x, y, lead, other):
    with NUMBERS.precision():
        sine = Laurent([abs(lead), *x[0]], x[1])
        cosine = Laurent([other, *y[0]], y[1])
        angle = NUMBERS.angle(sine, cosine)
        expected = math.atan2(float(sine(EPSILON)), float(cosine(EPSILON)))
        assert float(angle(EPSILON)) == pytest.approx(expected, rel=1e-12)


def test_angles_of_zeros_are_exact():
    with NUMBERS.precision():
        zero, one = NUMBERS.numbers([0, 1])
        assert NUMBERS.angle(zero, one).is_zero
        assert float(NUMBERS.angle(zero, -one)(1)) == pytest.approx(math.pi)
        assert float(NUMBERS.angle(one, zero)(1)) == pytest.approx(math.pi / 2)


def test_close_eigenvalues_are_split_where_they_first_differ():
    with NUMBERS.precision():
        e = NUMBERS.epsilon
        turn = NUMBERS.numbers([[1, 1, 1], [1, -1, 0], [1, 1, -2]])
        turn = turn / NUMBERS.sqrt(np.sum(turn * turn, axis=1))[:, None]
        wanted = [1 / (e * e) + 2, 3 + e * e * e, 3 + 2 * e * e * e]
        matrix = turn.T @ (np.array(wanted)[:, None] * turn)
        for a, b in zip(NUMBERS.eigenvalues(matrix), [*wanted[1:], wanted[0]], strict=True):
            assert same(a, b)
            assert a.order is not None
            assert a.order > 3


def test_what_cannot_be_decided_is_said():
    with NUMBERS.precision():
        unknown = Laurent([], order=3)
        with pytest.raises(UnknownTermsError, match=r"O\(ε\^3\), and nothing else, was divided by"):
            _ = 1 / unknown
        with pytest.raises(UnknownTermsError, match="power 3 is not known"):
            unknown.coefficient(3)
        with pytest.raises(LostDigitsError, match="cannot be told with 200 bits"):
            Laurent([flint.arb(0, 1)])
        with pytest.raises(ValueError, match="no square root among power series"):
            NUMBERS.epsilon.sqrt()
        with pytest.raises(ZeroDivisionError, match="divided by 0"):
            _ = NUMBERS.epsilon / 0
        assert not unknown > 0
        assert not unknown == 0  # noqa: SIM201 # neither is known


def test_closed_forms_are_found_and_others_are_not():
    with flint.ctx.workprec(500):
        pi = flint.arb.pi()
        assert closed_form(flint.arb(1) / 2 - 2 / pi**2) == "1/2 - 2/pi^2"
        assert closed_form(3 * flint.arb(2).sqrt() / (4 * pi), 2) == "3*sqrt(2)/(4*pi)"
        assert closed_form(flint.arb(-320) / 3 / pi**4 / (1 - 2 / pi)) == "-320/(3*pi^4)/(1 - 2/pi)"
        assert closed_form(flint.arb(1).exp()) is None
        assert closed_form(flint.arb(2).sqrt()) is None
        assert closed_form(flint.arb(1) / 3 + flint.arb(0, "1e-20")) is None  # too few digits

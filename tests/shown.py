"""One of each result that shows itself in a notebook, as small as can be."""

import jax.numpy as jnp
import numpy as np

from shallows.atlas import ArcsCompared, Basin, Ring, certified_wider, continuations, member
from shallows.atlas.arcs import arcs
from shallows.atlas.extra import Annihilation
from shallows.atlas.lines import PhaseMap, fitted_line
from shallows.atlas.series import series
from shallows.atlas.theorems import Theorem
from shallows.certify import Verdict
from shallows.lab import Case, Record, Result
from shallows.landscape import (
    Dropout,
    Event,
    Kink,
    LinearLoss,
    LineLoss,
    Meeting,
    NeuronSplit,
    NormWeighted,
    Plane,
    Slice,
    SquaredLoss,
    Straight,
    balanced,
    gaussian_start,
    minimisers,
)
from shallows.landscape.convex import NormalisedAfter, Unnormalised
from shallows.model import Erf, Gaussian, Network, diagonal_data, orthonormal, pair_data
from shallows.papers import Claim, Judgement, Paper, Reading, Scale
from shallows.solve import (
    CriticalPoint,
    HeNetwork,
    MarginDescent,
    NewtonOutcome,
    NormalisedRuns,
    NormalisedWeights,
    SymmetricPoint,
    VectorBounds,
    twin_flow,
    wide_descent,
)
from shallows.solve.convex import ConvexOutcome, InteriorPoint
from shallows.solve.extraction import Extraction
from shallows.solve.extraction.deep import DeepExtraction, LayerFound, LayerOutcome
from shallows.solve.extraction.outcomes import ExtractionOutcome
from shallows.solve.extraction.relu_sums import ReluSum
from shallows.solve.first_order import GroupSolution, grouped
from shallows.solve.line_fit import LineStart
from shallows.solve.linear_flow import linear_flow
from shallows.solve.margin_training import SignHeads
from shallows.solve.order_parameters import OrderParameters, Simulation, online
from shallows.solve.symmetric_flow import portrait
from shallows.solve.truncated import Stage, truncated_descent
from shallows.symmetry import Blocks, Floats, ReducedLoss, aligned, canonical

W = np.array([[1.0, -0.25], [0.0, 0.5]])
POINTS = np.array([[-1.0, 1.0], [0.2, 1.0], [0.7, 1.0], [-0.1, 1.0]])
LABELS = np.array([1.0, -0.5, 0.3, 0.8])


def a_slice(points=5):
    t = np.linspace(0.0, 1.0, points)
    meeting = Kink(0.5, 3, 0.25, (Event(Meeting.parallel, 0, 1),))
    path = Straight(Network(W), Network(3 * W))
    return Slice(path, t, 1 + t, (meeting,), (1.0, 2.0))


def a_plane():
    x, y = np.linspace(0, 1, 4), np.linspace(0, 2, 3)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 2.0]])
    return Plane(x, y, x + 10 * y[:, None], corners, np.array([0.0, 1.0, 20.5]), ())


def a_basin():
    rings = [
        Ring(r, 20, n, {"II": n, "global": 18 - n}, {"out_of_steps": 2}, 0.1 * r)
        for r, n in ((0.5, 18), (1.0, 4))
    ]
    return Basin("II", 6, 2.4, 0.02, "minimum", "uniform", tuple(rings), 1.0, {})


def a_phase_map():
    arrays = np.arange(6.0).reshape(2, 3)
    return PhaseMap((0.7, 7.0, 70.0), (0.5, 1.0), arrays > 0, *[arrays + i for i in range(5)])


def a_reading(numbers=1):
    paper = Paper(
        key="a-paper",
        title="On <b>",
        source="tian2017",
        claims=(Claim("small", "It & is <small>.", "tian2017, abstract", True),) * numbers,
        version=1,
        cases=lambda scale: [],
        measure=lambda case: Result({}),
        judge=lambda records: {},
    )
    found = Judgement(Verdict.SUPPORTED, "0.5 < 1", {"values": list(range(5000))})
    record = Record("a-paper", 1, Case({"k": 1}), {}, None, {})
    return Reading(paper, Scale.smoke, {"small": found}, (record,))


def a_simulation():
    losses, student = np.array([[1.0, 0.5], [0.8, 0.3]]), np.zeros((2, 2, 3, 3))
    times = np.array([0.0, 1.0])
    return Simulation(100, times, losses, student, np.zeros((2, 2, 3, 2)), np.ones((2, 2, 3)))


def quick():
    """Those that take milliseconds, without compilation."""
    rng = np.random.default_rng(0)
    line = fitted_line([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], LineStart(4, 1.0), snapshots=2)
    start = OrderParameters.unaligned(2, 2, length=0.5, spread=0.01, activation=Erf(), seed=0)
    twin = twin_flow(
        LineLoss([-1.0, 0.5, 1.0], [1.0, 0.0, 1.0], 3.0), rng.normal(size=(3, 3)), until=0.5
    )
    flow = portrait(ReducedLoss(Blocks((3,))), [[0.5, 0.1]], resolution=9)
    deep = LinearLoss(np.outer([1.0, 2.0], [0.6, 0.8]), 3, Dropout(0.5))
    a, b = minimisers(deep).point()
    x, y = gaussian_start(deep, 0.05, rng)
    program = Unnormalised(POINTS, LABELS, 0.1)
    solution = InteriorPoint()(program)
    problem, _ = grouped(program)
    relus = ReluSum(np.eye(2), np.zeros(2), np.ones((2, 1)), np.zeros((1, 2)), np.zeros(1))
    data = diagonal_data()
    wide = pair_data(5, 6, 0.4, outputs=2, constant=0.5, seed=0)
    batched = NormalisedAfter(POINTS, LABELS, 0.3, bias=True)
    runs = NormalisedWeights(
        jnp.asarray(np.ones((2, 3, 4, 2))), *map(jnp.asarray, np.ones((3, 2, 3, 4)))
    )
    return [
        a_slice(),
        a_plane(),
        a_basin(),
        a_phase_map(),
        a_reading(),
        a_reading().paper,
        a_simulation(),
        line,
        line.fit,
        line.fit.run,
        line.audit,
        line.spline,
        online(start, rate=0.5, until=1.0),
        online(start, rate=0.5, until=1.0).path,
        twin,
        twin.full,
        flow,
        flow.runs[0],
        linear_flow(deep, *balanced(a + x, b + y)),
        truncated_descent(NormWeighted(np.ones(2) / 2), W, [Stage(0.1, 5)], records=3),
        wide_descent(wide, HeNetwork(6).draw(wide, seed=1), step=1e-3, steps=2, until=1e-9),
        MarginDescent(0.1, steps=3).run(data, SignHeads(4).draw(2, seed=0)),
        NormalisedRuns(batched, np.array([0, 5]), runs, np.ones((2, 3)), np.ones((2, 3, 4))),
        solution,
        VectorBounds(0.5, 1.0, None, (solution, solution), np.zeros((4, 2))),
        GroupSolution(
            problem,
            np.zeros(1, int),
            np.ones((1, 2)),
            1.0,
            np.zeros(4),
            0.5,
            1,
            2,
            ConvexOutcome.converged,
        ),
        Extraction(ExtractionOutcome.recovered, relus, "exact", 1e-15, 10, True, 99, 2),
        DeepExtraction(
            ExtractionOutcome.partly_recovered,
            (LayerFound(LayerOutcome.recovered, 3, None, 3, True, "<all>"),),
            None,
            "some",
            np.nan,
            0,
            99,
            2,
        ),
        SymmetricPoint(
            ReducedLoss(Blocks((2, 1))),
            np.zeros(5),
            Floats(),
            NewtonOutcome.converged,
            1e-13,
            0.0,
            3,
        ),
        CriticalPoint(Network(W), NewtonOutcome.converged, 1e-13, 3, 0.5),
        canonical(np.eye(12)),
        aligned(W, W),
        Annihilation("II", 6, None, (tuple(continuations(member("II", 6), 1)),)),
        ArcsCompared("II", 4, None, None, (), "There is no such member."),
        Theorem(6, 7, ()),
        certified_wider("II", 6, 1),
    ]


def slow():
    """Those that take seconds, most of it compilation."""
    loss = SquaredLoss(orthonormal(2), Gaussian(2))
    found = arcs("II", 6, cuts=[1], only_minimising=True, with_proofs=False)
    return [
        NeuronSplit(loss, Network(W), 0).along(np.array([-0.5, 0.5, 1.5])),
        found[0],
        found[0].arc,
        series("A", 2),
    ]

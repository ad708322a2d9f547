r"""Check the certificate of a single point again, by formulas written down a second time.

Nothing here calls what found the point or made the certificate. To read it, one needs to know

* the loss ½ Σ cᵢ cⱼ K(uᵢ, uⱼ) over students (cᵢ their heads) and teachers (minus theirs), and the
  overlap with its derivatives as `shallows.certify.verify` has them: with a = |u|², b = |v|²,
  c = u·v, s = |u||v| sin θ and φ = π − θ,

  $$ 2\pi K = s + \varphi c, \qquad 2\pi\,\partial_u K = \tfrac{s}{a} u + \varphi v, $$
  $$ 2\pi\,\partial_{uu} K = \tfrac{s}{a}\bigl(I - \tfrac{uu^\top}{a}\bigr) + \tfrac{qq^\top}{s},
     \quad q = v - \tfrac{c}{a} u, $$
  $$ 2\pi\,\partial_{uv} K = \varphi I + \tfrac1s\, u\,(v - \tfrac{c}{a} u)^\top
     + \tfrac1s\, v\,(u - \tfrac{c}{b} v)^\top; $$

* Krawczyk's theorem: if m − Y g(m) + (I − Y J(X))(X − m) lies in the interior of the box X, where J
  contains all Jacobians of g on X, then g has exactly one zero in X, and it lies there;
* inertia: if H − t I = F D Fᵀ + E with F triangular up to order of rows and ones on its diagonal,
  then H − t I has as many negative eigenvalues as D, but for those of size at most |E|.

Floats propose Y, F and D; what is proved of them is proved in balls.
"""

from decimal import Decimal
from fractions import Fraction

import flint
import numpy as np
import scipy.linalg
from flint import arb, arb_mat

from shallows.certify._balls import between
from shallows.certify.point import PointCertificate, point_words
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check


class _FailedError(Exception):
    pass


def _require(truth: bool, otherwise: str) -> None:
    if not truth:
        raise _FailedError(otherwise)


def verify_point(certificate: PointCertificate) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    **Accuracy.** Rigorous: ball arithmetic wherever something is concluded. **Cost.** 0.3 s
    of one core for 100 weights, 5 s for 400.
    """
    try:
        with flint.ctx.workprec(certificate.bits):
            _check(certificate)
    except (_FailedError, ArithmeticError, ValueError, np.linalg.LinAlgError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    return Check(Verdict.PROVED, "")


def _check(c: PointCertificate) -> None:
    _require(c.verdict is Verdict.PROVED, "It does not claim to be a proof.")
    _require(point_words(c) == c.statement, "Its words do not say what its data say.")
    landscape = _Landscape(c)
    box = [[between(*pair) for pair in row] for row in c.weights]
    inside = landscape.refined(landscape.refined(box, strictly=True), strictly=False)
    claimed = between(*c.loss)
    _require(claimed.contains(landscape.loss(inside)), "The loss is not enclosed by its claim.")

    hessian = landscape.hessian(inside)
    low, high = (Decimal(text) for text in c.smallest_eigenvalue)
    room = (high - low) / 4
    _require(_count(hessian, low + room, room) == 0, f"An eigenvalue may be below {low}.")
    _require(_count(hessian, high - room, room) > 0, f"No eigenvalue need be below {high}.")
    if c.index is not None:
        # Some room on both sides of zero, so that no eigenvalue is zero.
        size = max(float(abs(x)) for x in hessian.entries())
        room = Decimal(1e-10 * size)
        _require(
            _count(hessian, -room, room) == c.index == _count(hessian, room, room),
            f"That exactly {c.index} eigenvalues are negative, and none is zero, is not seen.",
        )


def _count(hessian: arb_mat, shift: Decimal, room: Decimal) -> int:
    """A number p of eigenvalues that are below `shift`, up to `room`.

    At least p are below `shift + room`, and at most p below `shift − room`.
    """
    n = hessian.nrows()
    moved = hessian - _diagonal(n, arb(str(shift)))
    middle = np.array([float(x.mid()) for x in moved.entries()]).reshape(n, n)
    _require(bool(np.all(np.isfinite(middle))), "The Hessian has entries without bounds.")
    factor, blocks, order = scipy.linalg.ldl((middle + middle.T) / 2)
    triangle = factor[order]
    _require(
        bool(np.all(np.triu(triangle, 1) == 0) and np.all(np.diag(triangle) == 1)),
        "A factor is not triangular with ones on its diagonal.",
    )
    f = arb_mat(factor.tolist())
    rest = moved - f * arb_mat(blocks.tolist()) * f.transpose()
    error = max(
        sum((x.abs_upper() for x in row), start=arb(0)).abs_upper() for row in rest.tolist()
    )
    _require(error < arb(str(room)), f"A factorisation at {shift} is not close enough to decide.")
    return _negative(blocks)


def _negative(blocks: np.ndarray) -> int:
    """How many eigenvalues of a matrix of blocks of one or two rows are negative, exactly."""
    n, i, count = len(blocks), 0, 0
    beyond = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > 1
    _require(bool(np.all(blocks[beyond] == 0)), "A factor has larger blocks than of two rows.")
    while i < n:
        if i + 1 < n and (blocks[i, i + 1] != 0 or blocks[i + 1, i] != 0):
            _require(i + 2 >= n or not blocks[i + 1, i + 2], "Blocks of a factor overlap.")
            a, b, c = (Fraction(blocks[p]) for p in ((i, i), (i, i + 1), (i + 1, i + 1)))
            _require(Fraction(blocks[i + 1, i]) == b, "A factor is not symmetric.")
            determinant = a * c - b * b
            _require(determinant != 0, "A factor is singular.")
            count += 1 if determinant < 0 else 2 * (a < 0)
            i += 2
        else:
            _require(blocks[i, i] != 0, "A factor is singular.")
            count += int(blocks[i, i] < 0)
            i += 1
    return count


def _diagonal(n: int, value: arb) -> arb_mat:
    return arb_mat(n, n, [value if i == j else arb(0) for i in range(n) for j in range(n)])


Rows = list[list[arb]]


class _Landscape:
    """The loss of students against the teachers of a certificate."""

    def __init__(self, c: PointCertificate):
        for text in (*c.outer, *c.teacher_outer, *(x for row in c.teacher for x in row)):
            _require(Decimal(text).is_finite(), f"{text!r} is no number.")
        self.teachers = [[arb(x) for x in row] for row in c.teacher]
        self.heads = [arb(x) for x in c.outer] + [-arb(x) for x in c.teacher_outer]
        self.students, self.inputs = len(c.outer), len(c.teacher[0])

    def pair(self, u: list[arb], v: list[arb]) -> tuple[arb, ...]:
        """|u|², |v|², u·v, |u||v| sin θ and π − θ."""
        a, b, c = (
            sum((x * y for x, y in zip(p, q, strict=True)), start=arb(0))
            for p, q in ((u, u), (v, v), (u, v))
        )
        s = (a * b - c * c).sqrt()
        return a, b, c, s, arb.atan2(s, -c)

    def loss(self, w: Rows) -> arb:
        """½ Σ cᵢ cⱼ K."""
        neurons, total = [*w, *self.teachers], arb(0)
        for i, u in enumerate(neurons):
            total += self.heads[i] ** 2 * sum((x * x for x in u), start=arb(0)) / 4
            for j, v in enumerate(neurons[:i]):
                if all(x.is_zero() for x in u) or all(x.is_zero() for x in v):
                    continue
                a, b, c, s, supplement = self.pair(u, v)
                profile = s + supplement * c
                if not s > 0:
                    # Perhaps parallel, as teachers may be. With a and b fixed it grows with c.
                    cosine = c / (a * b).sqrt()
                    ends = [_profile(arb(x)) for x in (cosine.lower(), cosine.upper())]
                    profile = (a * b).sqrt() * ends[0].union(ends[1])
                total += self.heads[i] * self.heads[j] * profile / (2 * arb.pi())
        return total

    def gradient(self, w: Rows) -> arb_mat:
        """A column, student after student."""
        column = []
        for i, u in enumerate(w):
            total = [self.heads[i] ** 2 * x / 2 for x in u]
            for j, v in enumerate([*w, *self.teachers]):
                if j == i or all(x.is_zero() for x in v):
                    continue
                a, _, _, s, supplement = self.pair(u, v)
                share = self.heads[i] * self.heads[j] / (2 * arb.pi())
                on_u, on_v = share * s / a, share * supplement
                total = [t + on_u * x + on_v * y for t, x, y in zip(total, u, v, strict=True)]
            column += total
        return arb_mat([[x] for x in column])

    def hessian(self, w: Rows) -> arb_mat:
        """Between all weights, student after student."""
        d, neurons = self.inputs, [*w, *self.teachers]
        blocks: dict[tuple[int, int], arb_mat] = {}
        for i, u in enumerate(w):
            own = _diagonal(d, self.heads[i] ** 2 / 2)
            for j, v in enumerate(neurons):
                if j == i or all(x.is_zero() for x in v):
                    continue
                a, b, c, s, supplement = self.pair(u, v)
                share = self.heads[i] * self.heads[j] / (2 * arb.pi())
                q = [y - c / a * x for x, y in zip(u, v, strict=True)]
                r = [x - c / b * y for x, y in zip(u, v, strict=True)]
                left = arb_mat([u, q]).transpose()
                right = arb_mat([[-share * s / a**2 * x for x in u], [share / s * x for x in q]])
                own += left * right + _diagonal(d, share * s / a)
                if i < j < self.students:
                    mixed = arb_mat([u, v]).transpose() * arb_mat([q, r]) * (share / s)
                    blocks[i, j] = mixed + _diagonal(d, share * supplement)
                    blocks[j, i] = blocks[i, j].transpose()
            blocks[i, i] = own
        tables = {place: block.tolist() for place, block in blocks.items()}
        rows = [
            [x for j in range(self.students) for x in tables[i, j][p]]
            for i in range(self.students)
            for p in range(d)
        ]
        return arb_mat(rows)

    def refined(self, box: Rows, strictly: bool) -> Rows:
        """Krawczyk's operator on the box; if `strictly`, it has to lie in the interior."""
        count = self.students * self.inputs
        middle = [[arb(x.mid()) for x in row] for row in box]
        jacobian = self.hessian(box)
        centre = np.array([float(x.mid()) for x in jacobian.entries()]).reshape(count, count)
        _require(bool(np.all(np.isfinite(centre))), "The Hessian has no bounds on the box.")
        y = arb_mat(np.linalg.inv(centre).tolist())
        away = arb_mat([[x - m] for x, m in zip(_flat(box), _flat(middle), strict=True)])
        image = arb_mat([[m] for m in _flat(middle)]) - y * self.gradient(middle)
        image += (_diagonal(count, arb(1)) - y * jacobian) * away
        inside = image.entries()
        if strictly:
            _require(
                all(x.contains_interior(z) for x, z in zip(_flat(box), inside, strict=True)),
                "Krawczyk's operator does not map the box of weights into its interior.",
            )
        d = self.inputs
        return [inside[i * d : (i + 1) * d] for i in range(self.students)]


def _profile(cosine: arb) -> arb:
    x = max(arb(-1), min(arb(1), cosine))
    return (1 - x * x).sqrt() + (-x).acos() * x if abs(x) < 1 else arb.pi() * max(x, arb(0))


def _flat(rows: Rows) -> list[arb]:
    return [x for row in rows for x in row]

r"""Means over jointly Gaussian pre-activations, as functions of their covariance alone.

Under x ~ N(0, I) the pre-activations $z_a = u_a \cdot x$ of all neurons, students and teachers,
are Gaussian with covariance $C_{ab} = u_a \cdot u_b$. A mean over x of anything that a loss, its
gradient or the noise of its gradient is made of is a function of C, whatever the number of inputs:

$$ I_2(a, b) = \langle\sigma(z_a)\sigma(z_b)\rangle, \quad
   I_3(a, b, c) = \langle\sigma'(z_a)\,z_b\,\sigma(z_c)\rangle, \quad
   I_4(a, b, c, d) = \langle\sigma'(z_a)\sigma'(z_b)\sigma(z_c)\sigma(z_d)\rangle, \quad
   J_2(a, b) = \langle\sigma'(z_a)\sigma'(z_b)\rangle. $$

With $I_2 = \kappa(C_{aa}, C_{bb}, C_{ab})$, integration by parts gives $I_3(a, b, c) = 2\kappa_p
C_{ab} + \kappa_c C_{bc}$, for every activation that has a closed κ.

**Source.** Saad & Solla (1995) for the error function. For piecewise linear activations $I_4$ is
reduced by parts, twice, to probabilities of orthants; in four dimensions these are an integral
along the way from independence (Plackett 1954).
"""

import functools
import itertools

import numpy as np
from jaxtyping import Float

from shallows.model.activations import AbstractActivation, PiecewiseLinear
from shallows.model.smooth import AbstractSmooth, Erf

Covariance = Float[np.ndarray, "n n"]

# What remains of a variance when one conditions on equal pre-activations is rounding: this share
# of the largest one counts as such.
_ROUNDING = 1e-15


def overlaps_of(activation: AbstractActivation, c: Covariance) -> Covariance:
    """I₂(a, b).

    **Accuracy.** 1e-15 of √(C_aa C_bb) for closed forms, else as `activation.overlap`.
    """
    if isinstance(activation, PiecewiseLinear):
        lengths, sine, supplement, cosine = _angles(c)
        curved = np.outer(lengths, lengths) * (sine + supplement * cosine) / (2 * np.pi)
        return activation.share * curved + activation.rest * c
    p = np.diag(c)
    if isinstance(activation, Erf):
        c, p = 2 * activation.scale**2 * c, 2 * activation.scale**2 * p
        area = np.add.outer(p, p) + (np.outer(p, p) - c * c) + 1
        return 2 / np.pi * np.arctan2(c, np.sqrt(area))
    return np.asarray(_smooth(activation).overlap(p[:, None], p, c))


def slopes_of(activation: AbstractActivation, c: Covariance) -> tuple[Covariance, Covariance]:
    """Matrices A, B with I₃(a, b, c) = A_ac C_ab + B_ac C_bc: 2κ_p and κ_c.

    **Domain.** Pre-activations of variance 0 count as those of angle π/2, and A is 0 there.

    **Accuracy.** I₃ to 1e-15 of |u_b||u_c| for closed forms, else as `activation.first`.
    """
    if isinstance(activation, PiecewiseLinear):
        lengths, sine, supplement, _ = _angles(c)
        ratio = lengths / np.where(lengths > 0, lengths, np.inf)[:, None]
        share = activation.share / (2 * np.pi)
        return share * sine * ratio, share * supplement + activation.rest
    p = np.diag(c)
    if isinstance(activation, Erf):
        s = 2 * activation.scale**2
        area = np.sqrt(1 + s * np.add.outer(p, p) + s * s * (np.outer(p, p) - c * c))
        on_c = 2 * s / np.pi / area
        return -s * c / (1 + s * p[:, None]) * on_c, on_c
    on_p, on_c = _smooth(activation).first(p[:, None], p, c)
    return 2 * np.asarray(on_p), np.asarray(on_c)


def has_noise(activation: AbstractActivation) -> bool:
    """Whether I₄ and J₂ are known for it: for piecewise linear ones and the error function."""
    return isinstance(activation, PiecewiseLinear | Erf)


def noise_of(
    activation: AbstractActivation, c: Covariance, heads: Float[np.ndarray, " n"], first: int
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    r"""For i, k < first: $\langle\sigma'(z_i)\sigma'(z_k)(\sum_a h_a\sigma(z_a))^2\rangle$ and J₂.

    **Accuracy.** For the error function 1e-14. Piecewise linear: 1e-12 of the terms I₄, and 1e-7
    where pre-activations are equal, or dependent, without being the same one.

    **Raises.** `ValueError` for activations without `has_noise`. **Cost.** A few ms for
    four students and four teachers, for the error function a tenth of that.
    """
    if isinstance(activation, Erf):
        s = 2 * activation.scale**2
        fourth, second = _erf_noise(s * c, first)
        return s * (fourth @ heads @ heads), s * second
    if isinstance(activation, PiecewiseLinear):
        return _linear_noise(activation, c, heads, first)
    raise ValueError(
        f"The noise of one sample a step is known for piecewise linear activations and the error "
        f"function, but the activation is {activation.name}. Ask for its gradient flow: rate 0."
    )


def _smooth(activation: AbstractActivation) -> AbstractSmooth:
    if isinstance(activation, AbstractSmooth):
        return activation
    raise ValueError(
        f"The activation {activation.name} has no overlap as a function of variances and "
        f"covariance. Use one of those in `shallows.model`, such as `Erf()`."
    )


def _angles(c):
    """Lengths, and of each pair the sine, π − θ and the cosine, of one and the same θ."""
    lengths = np.sqrt(np.diag(c))
    known = np.where(lengths > 0, lengths, np.inf)
    cosine = np.clip(c / known / known[:, None], -1.0, 1.0)
    np.fill_diagonal(cosine, np.where(lengths > 0, 1.0, 0.0))
    # Near 0 and π the angle has half the digits only, which I₂ and I₃ do not see as long as its
    # sine has the same error.
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    return lengths, sine, np.arctan2(sine, -cosine), cosine


def _erf_noise(c, first):
    """I₄ of the first ones with all, and J₂ of the first ones, for erf(t/√2)."""
    k = first
    p, on, both = 1 + np.diag(c)[:k], c[:k, :k], np.diag(c)
    l4 = np.outer(p, p) - on * on
    # Axes i, k, a, b.
    i, j = c[:k, None, :, None], c[None, :k, :, None]
    x, y = c[:k, None, None, :], c[None, :k, None, :]
    p1, p2, c12 = (z[..., None, None] for z in (p[:, None], p[None, :], on))
    big = l4[..., None, None]
    l0 = big * c - j * y * p1 - i * x * p2 + c12 * (i * y + x * j)

    def outer(u, v, own):
        return big * (1 + own) - v * v * p1 - u * u * p2 + 2 * c12 * u * v

    l1, l2 = outer(i, j, both[:, None]), outer(x, y, both)
    angle = np.arcsin(np.clip(l0 / np.sqrt(l1 * l2), -1, 1))
    return 4 / np.pi**2 * angle / np.sqrt(big), 2 / np.pi / np.sqrt(l4)


@functools.cache
def _terms(first, number):
    """Products σ'ᵢ σ'ₖ σₐ σ_b by how many different indices they have.

    For each number s: i and k, a and b, the s indices, and where among them i, k, a and b are.
    """
    found: dict[int, list] = {}
    for i, k in itertools.combinations_with_replacement(range(first), 2):
        for a, b in itertools.combinations_with_replacement(range(number), 2):
            some = sorted({i, k, a, b})
            at = [some.index(x) for x in (i, k, a, b)]
            found.setdefault(len(some), []).append((i, k, a, b, *some, *at))
    return {s: np.array(rows).T for s, rows in found.items()}


def _linear_noise(activation, c, heads, k):
    total = np.zeros((k, k))
    for s, rows in _terms(k, len(c)).items():
        i, j, a, b = rows[:4]
        indices, (at_i, at_j, at_a, at_b) = rows[4 : 4 + s].T, rows[4 + s :]
        each = np.arange(len(indices))
        part = c[indices[:, :, None], indices[:, None, :]]
        value = np.zeros(len(indices))
        for signs in itertools.product((1.0, -1.0), repeat=s):
            slope = np.where(np.array(signs) > 0, activation.positive, activation.negative)
            weight = slope[at_i] * slope[at_j] * slope[at_a] * slope[at_b]
            if np.any(weight):
                turn = np.array(signs)
                turned = part * np.outer(turn, turn)
                sign = turn[at_a] * turn[at_b]
                value += weight * sign * _second_moment(turned, each, at_a, at_b)
        value *= heads[a] * heads[b] * np.where(a == b, 1.0, 2.0)
        np.add.at(total, (i, j), value)
    total = total + np.triu(total, 1).T
    _, _, supplement, _ = _angles(c[:k, :k])
    up, down = activation.positive, activation.negative
    same = supplement / np.pi  # the probability of equal signs
    return total, (up * up + down * down) / 2 * same + up * down * (1 - same)


def _second_moment(c, each, a, b):
    """E[z_a z_b; all z > 0] of a batch of covariances, by parts."""
    found = c[each, a, b] * _orthant(c)
    for s in range(c.shape[1]):
        if c.shape[1] == 1:
            break  # ∂z_b 1(z > 0) has no other boundary than z_b = 0
        rest, density = _conditioned(c, s)
        others = [x for x in range(c.shape[1]) if x != s]
        place = np.array([others.index(x) if x != s else 0 for x in range(c.shape[1])])
        moment = c[each, a, s] * density * _first_moment(rest, each, place[b])
        found = found + np.where(b == s, 0.0, moment)
    return found


def _first_moment(c, each, b):
    """E[z_b; all z > 0]."""
    found = np.zeros(len(c))
    for s in range(c.shape[1]):
        rest, density = _conditioned(c, s)
        found = found + c[each, b, s] * density * _orthant(rest)
    return found


def _conditioned(c, s):
    """The covariance of the others where z_s = 0, and the density of z_s there."""
    others = [x for x in range(c.shape[1]) if x != s]
    largest = np.max(np.diagonal(c, axis1=1, axis2=2), axis=1)
    variance = np.maximum(c[:, s, s], _ROUNDING * largest + 1e-300)
    column = c[:, others, s]
    rest = (
        c[:, others][:, :, others] - column[:, :, None] * column[:, None] / variance[:, None, None]
    )
    for x in range(len(others)):
        rest[:, x, x] = np.maximum(rest[:, x, x], _ROUNDING * c[:, others[x], others[x]])
    return rest, 1 / np.sqrt(2 * np.pi * variance)


def _orthant(c):
    """P(all z > 0) for up to four of them."""
    s = c.shape[1]
    if s < 2:
        return np.full(len(c), 1.0 if s == 0 else 0.5)
    size = np.sqrt(np.maximum(np.diagonal(c, axis1=1, axis2=2), 1e-300))
    r = np.clip(c / size[:, :, None] / size[:, None, :], -1.0, 1.0)
    pairs = list(itertools.combinations(range(s), 2))
    angles = sum(np.arcsin(r[:, i, j]) for i, j in pairs)
    if s < 4:
        return angles / (2 * np.pi * (s - 1)) + 0.5**s
    return angles / (8 * np.pi) + 1 / 16 + _beyond(r) / (4 * np.pi**2)


@functools.cache
def _double_exponential(step=0.08, reach=3.3):
    """Nodes t in (0, 1), 1 − t without cancellation, and weights; errors of about 1e-14."""
    y = np.arange(-reach, reach + step / 2, step)
    rest = 1 / (1 + np.exp(np.pi * np.sinh(y)))
    t = 1 / (1 + np.exp(-np.pi * np.sinh(y)))
    return t, rest, step * np.pi * np.cosh(y) * t * rest


def _beyond(r):
    """∫₀¹ Σ ρᵢⱼ (1 − t²ρᵢⱼ²)^(−1/2) arcsin ρₖₗ.ᵢⱼ(t) dt, correlations being those of (1 − t)I + tC.

    Each term is the derivative of the probability in one correlation times the speed of that one.
    The integrand is singular at most at t = 1, where C is.
    """
    t, u, weights = _double_exponential()
    total = np.zeros((len(r), len(t)))
    for i, j in itertools.combinations(range(4), 2):
        k, l = (x for x in range(4) if x not in (i, j))
        ij, ki, kj, li, lj, kl = (
            r[:, x, y, None] for x, y in ((i, j), (k, i), (k, j), (l, i), (l, j), (k, l))
        )
        left = u * (1 + t) + t * t * ((1 - ij) * (1 + ij))  # 1 − t²ρ²
        cross = t * kl * left - t * t * (ki * li + kj * lj - t * ij * (ki * lj + kj * li))
        on_k = left - t * t * (ki * ki + kj * kj - 2 * t * ij * ki * kj)
        on_l = left - t * t * (li * li + lj * lj - 2 * t * ij * li * lj)
        scale = np.sqrt(np.maximum(on_k, 1e-30) * np.maximum(on_l, 1e-30))
        partial = np.clip(cross / scale, -1.0, 1.0)
        total += ij / np.sqrt(np.maximum(left, 1e-300)) * np.arcsin(partial)
    return total @ weights

"""The overlap and its derivatives in 60 digits, by another route than the package's.

With a = |u|², b = |v|², c = u·v, S = √(ab − c²) (the area of the parallelogram) and ψ = π − θ =
atan2(S, −c) the overlap is (S + cψ)/2π: no unit vectors, no trigonometric functions of θ. By the
chain rule everything else is rational in a, b, c and S. The limits at S = 0 are those of
`landscapes.md`, section 2; `by_differences` checks all of it without calculus.
"""

import mpmath as mp

mp.mp.dps = 60


def exact(vector):
    """The numbers that these floats are, with no rounding."""
    return [mp.mpf(float(x)) for x in vector]


def dot(u, v):
    return mp.fsum(x * y for x, y in zip(u, v, strict=True))


def overlap(u, v):
    a, b, c = dot(u, u), dot(v, v), dot(u, v)
    s = mp.sqrt(max(a * b - c * c, 0))
    return (s + c * mp.atan2(s, -c)) / (2 * mp.pi)


def gradient(u, v):
    """∂K/∂u = (S u/a + ψ v)/2π."""
    a, b, c = dot(u, u), dot(v, v), dot(u, v)
    s = mp.sqrt(max(a * b - c * c, 0))
    psi = mp.atan2(s, -c)
    return [(s * x / a + psi * y) / (2 * mp.pi) for x, y in zip(u, v, strict=True)]


def second(u, v):
    """∂²K/∂u∂u and ∂²K/∂u∂v: the gradient differentiated, with dS = (bu − cv)·du/S and the like."""
    a, b, c = dot(u, u), dot(v, v), dot(u, v)
    s = mp.sqrt(max(a * b - c * c, 0))
    psi = mp.atan2(s, -c)
    d = range(len(u))
    if s < mp.mpf("1e-45") * mp.sqrt(a * b):  # parallel: the limits
        return mp.zeros(len(u)), mp.eye(len(u)) * (mp.mpf(1) / 2 if c > 0 else 0)
    s_u = [(b * u[i] - c * v[i]) / s for i in d]
    s_v = [(a * v[i] - c * u[i]) / s for i in d]
    # ψ = atan2(S, −c): dψ = (−c dS + S dc)/(S² + c²), and S² + c² = ab.
    psi_u = [(-c * s_u[i] + s * v[i]) / (a * b) for i in d]
    psi_v = [(-c * s_v[i] + s * u[i]) / (a * b) for i in d]
    pure, mixed = mp.zeros(len(u)), mp.zeros(len(u))
    for i in d:
        for j in d:
            same = mp.mpf(i == j)
            pure[i, j] = s_u[j] * u[i] / a - 2 * s * u[i] * u[j] / a**2 + s * same / a
            pure[i, j] += psi_u[j] * v[i]
            mixed[i, j] = s_v[j] * u[i] / a + psi * same + psi_v[j] * v[i]
    return pure / (2 * mp.pi), mixed / (2 * mp.pi)


def by_differences(u, v):
    """Gradient and both second derivatives by central differences of `overlap` alone."""
    with mp.workdps(150):
        step_u = mp.sqrt(dot(u, u)) * mp.mpf("1e-40")
        step_v = mp.sqrt(dot(v, v)) * mp.mpf("1e-40")
        d = range(len(u))

        def moved(x, i, step):
            return [y + step if j == i else y for j, y in enumerate(x)]

        def along(i, x, step, value):
            return (value(moved(x, i, step)) - value(moved(x, i, -step))) / (2 * step)

        def pure(i, j):
            def inner(x):
                return along(j, x, step_u, lambda y: overlap(y, v))

            return along(i, u, step_u, inner)

        def mixed(i, j):
            def inner(x):
                return along(j, v, step_v, lambda y: overlap(x, y))

            return along(i, u, step_u, inner)

        first = [along(i, u, step_u, lambda x: overlap(x, v)) for i in d]
        table = [mp.matrix([[entry(i, j) for j in d] for i in d]) for entry in (pure, mixed)]
        return first, table[0], table[1]


def distance(ours, theirs):
    """The largest error of an array of floats, against numbers in many digits."""
    flat = list(theirs) if not isinstance(theirs, mp.mpf) else [theirs]
    mine = ours.reshape(-1).tolist()
    return float(max(abs(mp.mpf(x) - y) for x, y in zip(mine, flat, strict=True)))

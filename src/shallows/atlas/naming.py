"""Names of families: what a critical point is called."""

import re

from shallows.symmetry import Isotropy

# Relative to ½ E f_teacher², below which a loss is zero to working accuracy: the loss is a
# difference of terms of that size, each rounded at 1e-16 times its number of neurons.
ZERO_LOSS = 1e-12
# Relative, below which a loss is that of a named family.
_SAME_LOSS = 1e-6


def family_name(
    isotropy: Isotropy | str,
    flipped: int,
    neurons: int,
    teacher_neurons: int,
    *,
    is_global: bool,
    loss: float | None = None,
) -> str:
    """The name of a critical point with this isotropy group (or its name) and flipped neurons.

    `global` for zero loss. For as many students as teachers and the isotropy group
    Δ(S_p × S_{k−p}) with p flipped neurons: `A` (p = k), `I` (p = k − 1), `II` (p = 1), `flipped:p`
    otherwise. Everything else is `unnamed:` and its group. Where two critical points share group
    and p, they share the name; a census then tells them apart by a suffix `#2`.

    Where the `loss` is given (for an orthonormal teacher and Gaussian inputs, with fixed heads),
    the families are asked: only the point that `shallows.atlas.families` has under a name is
    called by it, its namesake on the other sheet `unflipped:q`, and a point with the group
    Δ(S_p × S_q × S_1) `intermediate:p` if it is one.

    **Source.** A, I, II after Arjevani & Field (2020, 2021), by the signs of the diagonal (see
    docs, notation).
    """
    if is_global:
        return "global"
    k, p = neurons, flipped
    group = isotropy if isinstance(isotropy, str) else isotropy.name
    unnamed = f"unnamed:{group}" + (f",p={p}" if p else "")
    if k != teacher_neurons or p == 0:
        return unnamed
    if group == _blocks(p, k - p):
        name = {k: "A", k - 1: "I", 1: "II"}.get(p, f"flipped:{p}") if k > 2 else f"flipped:{p}"
        if loss is None or k <= 2:
            return name
        others = [f"unflipped:{k - p}"] if name.startswith("flipped") else []
        return next((n for n in (name, *others) if _is_loss_of(n, k, loss)), unnamed)
    blocks = re.fullmatch(r"Δ\(S(\d+)×S(\d+)×S1\)", group)
    if blocks is None or loss is None:
        return unnamed
    names = [f"intermediate:{n}" for n in blocks.groups() if int(n) in (p, p - 1)]
    return next((n for n in names if _is_loss_of(n, k, loss)), unnamed)


def _is_loss_of(name: str, neurons: int, loss: float) -> bool:
    # Families are computed by balls and branches, which a census without a match does not need.
    from shallows.atlas.families import member

    try:
        value = member(name, neurons).value
    except ValueError:  # there is none of this size
        return False
    return abs(value - loss) <= _SAME_LOSS * value


def _blocks(p: int, q: int) -> str:
    large, small = max(p, q), min(p, q)
    return f"Δ(S{large}×S{small})" if small else f"ΔS{large}"

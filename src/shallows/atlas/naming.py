"""Names of families: what a critical point is called."""

from shallows.symmetry import Isotropy

# Relative to ½ E f_teacher², below which a loss is zero to working accuracy: the loss is a
# difference of terms of that size, each rounded at 1e-16 times its number of neurons.
ZERO_LOSS = 1e-12


def family_name(
    isotropy: Isotropy, flipped: int, neurons: int, teacher_neurons: int, *, is_global: bool
) -> str:
    """The name of a critical point with this isotropy group and number of flipped neurons.

    `global` for zero loss. For as many students as teachers and the isotropy group
    Δ(S_p × S_{k−p}) with p flipped neurons: `A` (p = k), `I` (p = k − 1), `II` (p = 1), `flipped:p`
    otherwise. Everything else is `unnamed:` and its group. Where two critical points share group
    and p, they share the name; a census then tells them apart by a suffix `#2`.

    **Source.** A, I, II after Arjevani & Field (2020, 2021), by the signs of the diagonal (see
    docs, notation).
    """
    if is_global:
        return "global"
    k, p = neurons, flipped
    if k == teacher_neurons and p > 0 and isotropy.name == _blocks(p, k - p):
        return {k: "A", k - 1: "I", 1: "II"}.get(p, f"flipped:{p}") if k > 2 else f"flipped:{p}"
    return f"unnamed:{isotropy.name}" + (f",p={p}" if p else "")


def _blocks(p: int, q: int) -> str:
    large, small = max(p, q), min(p, q)
    return f"Δ(S{large}×S{small})" if small else f"ΔS{large}"

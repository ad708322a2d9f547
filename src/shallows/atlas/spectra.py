"""Spectra side by side."""

from collections.abc import Sequence

import numpy as np

# An eigenvalue and how often it occurs.
Multiple = tuple[float, int]


def spectral_differences(
    first: Sequence[Multiple], second: Sequence[Multiple]
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of equal rank, as two arrays; each pair of levels that meet occurs once.

    **Convention.** Spectra in any order, with multiplicities: nothing of their length is made,
    so that k² may be 10¹⁸.

    **Raises.** `ValueError` where they do not have equally many eigenvalues.
    """
    ordered = [sorted(levels) for levels in (first, second)]
    ends = [np.cumsum([n for _, n in levels], dtype=object) for levels in ordered]
    if ends[0][-1] != ends[1][-1]:
        raise ValueError(
            f"Spectra are compared rank by rank, but one has {ends[0][-1]} eigenvalues and the "
            f"other {ends[1][-1]}. Compare points with equally many weights."
        )
    ranks = sorted({*ends[0], *ends[1]})
    values = []
    for levels, end in zip(ordered, ends, strict=True):
        place = [next(i for i, e in enumerate(end) if rank <= e) for rank in ranks]
        values.append(np.array([levels[i][0] for i in place], dtype=float))
    return values[0], values[1]

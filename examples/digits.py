"""Real inputs: the landscape under the handwritten digits that come with scikit-learn.

    python examples/digits.py          # writes digits.npz and prints the command
    python examples/digits.py --run    # takes a small census as well, in about a minute

The inputs are the first ten principal components, each scaled to unit variance. A data set is
a law like any other: averages become sums over its 1797 points.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

COMPONENTS = 10


def inputs() -> np.ndarray:
    """The digits, centred, projected on their principal components and whitened."""
    pixels = load_digits().data
    left, _, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    return left[:, :COMPONENTS] * np.sqrt(len(pixels))


if __name__ == "__main__":
    points = inputs()
    np.savez("digits.npz", inputs=points)
    print(f"digits.npz holds {points.shape[0]} points with {points.shape[1]} inputs. Now:")
    print(
        f"shallows census --law digits.npz -k {COMPONENTS} --starts 20 "
        "--optimiser gd --out digits-census"
    )
    if "--run" in sys.argv:
        from shallows import GradientDescent, Sample, SquaredLoss, census, orthonormal

        loss = SquaredLoss(orthonormal(COMPONENTS), Sample(points))
        # The steps are bounded because some runs chatter at a kink and never settle.
        found = census(loss, 4, GradientDescent(max_steps=20_000))
        print(f"{found.settled} of {found.starts} starts settled; the others: {found.unsettled}")
        for family in found.families:
            print(f"{family.count:3}  {family.name:10} {family.isotropy:10} loss {family.loss:.3g}")

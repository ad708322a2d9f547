"""A teacher of one's own: neurons at equal angles instead of right ones.

    python examples/own_teacher.py

Writes `equiangular.npz`, which the command line reads as well:

    shallows census --teacher equiangular.npz --starts 50 --out own-census

Both follow the gradient flow. The default step of gradient descent, 5/k, is made for orthonormal
teachers and too long for this one.
"""

import numpy as np

from shallows import Gaussian, Network, SquaredLoss, census

k, cosine = 4, 0.3
overlaps = np.full((k, k), cosine) + (1 - cosine) * np.eye(k)
inner = np.linalg.cholesky(overlaps)  # unit rows with these inner products
np.savez("equiangular.npz", inner=inner)

teacher = Network(inner)
loss = SquaredLoss(teacher, Gaussian(teacher.inputs))
found = census(loss, 20, curves=False)  # without training curves, which only a report draws

print(f"{found.settled} of {found.starts} starts settled")
for family in found.families:
    print(f"{family.count:3}  {family.name:10} {family.isotropy:10} loss {family.loss:.3g}")

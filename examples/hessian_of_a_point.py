"""Is a published point a minimum? Its loss, its Hessian and its symmetry.

    python examples/hessian_of_a_point.py

The point is the spurious minimum of type II for six neurons. Its isotropy group Δ(S5×S1)
leaves five numbers free, and these are known to nine digits; Newton's method supplies the rest.
"""

import numpy as np

from shallows import Gaussian, Network, SquaredLoss, critical_point, isotropy, orthonormal
from shallows.solve import Newton

k = 6
weights = np.full((k, k), -0.0504134032)
np.fill_diagonal(weights, 0.986703819)
weights[:-1, -1] = 0.308010991
weights[-1, :-1] = 0.224515808
weights[-1, -1] = -0.601511924

loss = SquaredLoss(orthonormal(k), Gaussian(k))
# The start is close enough for the plain iteration; `basin=False` also finds saddles.
point = critical_point(loss, Network(weights), Newton(basin=False))
eigenvalues = np.linalg.eigvalsh(loss.hessian(point.student))

print(f"moved by             {point.distance:.1e}")
print(f"gradient norm        {point.gradient_norm:.1e}")
print(f"loss                 {float(loss(point.student)):.10f}")
print(f"smallest eigenvalue  {eigenvalues[0]:.10f}")
print(f"isotropy             {isotropy(point.student).name}")

"""A first census: fifty students of eight neurons, and where gradient descent takes them.

python examples/first_census.py
"""

from shallows import Gaussian, GradientDescent, SquaredLoss, census, orthonormal

loss = SquaredLoss(orthonormal(8), Gaussian(8))
found = census(loss, 50, GradientDescent(), curves=False)

print(f"{found.settled} of {found.starts} starts settled")
for family in found.families:
    print(
        f"{family.count:3}  {family.name:10} {family.isotropy:10} {family.kind.value:10} "
        f"loss {family.loss:<14.8g}  smallest eigenvalue {family.smallest_eigenvalue:.6f}"
    )

r"""The squared loss of a student against a teacher."""

import abc
import math
from typing import Final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from shallows.landscape.dropout import Dropout, Filtered
from shallows.model import AbstractActivation, AbstractLaw, Network, PiecewiseLinear
from shallows.model.laws import AbstractEllipsoidal


class AbstractTrained(eqx.Module):
    """Which parameters of a student are trained: a matrix θ with one row a neuron.

    Heads a are numbers, or rows of length o for o outputs.
    """

    is_everything: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def join(
        self, w: Float[Array, "*b k d"], a: Float[Array, "*b k"] | Float[Array, "*b k o"]
    ) -> Float[Array, "*b k p"]:
        """The trained parameters θ of a student with neurons w and heads a."""

    @abc.abstractmethod
    def split(
        self,
        theta: Float[Array, "*b k p"],
        a: Float[Array, "*#b k"] | Float[Array, "*b k o"],
    ) -> tuple[Float[Array, "*b k d"], Float[Array, "*b k"] | Float[Array, "*b k o"]]:
        """Neurons and heads of a student with trained parameters θ; heads `a` where not trained."""


class InnerWeights(AbstractTrained):
    """The neurons are trained, their heads stay: θ = w."""

    is_everything = False

    def join(self, w, a):
        """See `AbstractTrained`."""
        return w

    def split(self, theta, a):
        """See `AbstractTrained`."""
        return theta, a if a.ndim == theta.ndim else jnp.broadcast_to(a, theta.shape[:-1])


class AllWeights(AbstractTrained):
    """Neurons and heads are trained: row i of θ is (wᵢ, aᵢ)."""

    is_everything = True

    def join(self, w, a):
        """See `AbstractTrained`."""
        return jnp.concatenate([w, a if a.ndim == w.ndim else a[..., None]], axis=-1)

    def split(self, theta, a):
        """See `AbstractTrained`."""
        if a.ndim < theta.ndim:
            return theta[..., :-1], theta[..., -1]
        d = theta.shape[-1] - a.shape[-1]
        return theta[..., :d], theta[..., d:]


class SquaredLoss(eqx.Module):
    r"""$L = \frac12\, \mathbb{E}_{x}\, |f_{\text{student}}(x) - f_{\text{teacher}}(x)|^2$.

    With K(u, v) = E σ(u·x) σ(v·x) it is ½ cᵀKc for c = (student heads, −teacher heads), and
    ½ tr CᵀKC for several outputs: a sum of single-output losses that share their neurons. Student
    and teacher may have any widths and heads, and have the same activation σ and outputs;
    `trained` says which parameters derivatives are taken in, and `law` over which inputs x the
    mean is. With `dropout` the student's neurons are kept with probability p and then divided by p,
    and the mean is also over that: a term $\frac{1-p}{2p} \sum_i a_i^2 K(w_i, w_i)$ on the
    diagonal of K.

    **Accuracy.** For Gaussian and elliptical laws the loss is exact to about 1e-15 of E f², the
    gradient to 1e-14, the Hessian to 1e-13, at every student without a zero neuron (and for smooth
    activations as they say, at every student). For a `Sample` they are sums over its points, and
    at kinks there is no Hessian.

    **Raises.** `ValueError` if student, teacher and law live in different spaces, for biases, for
    students with another activation or other outputs than the teacher's, for activations that the
    law has no means for, and where a Hessian is asked for that does not exist.

    **Source.** Safran & Shamir (2018), section 4; Arjevani & Field (2020), eq. (1).
    """

    teacher: Network
    law: AbstractLaw
    trained: AbstractTrained
    has_basis: bool = eqx.field(static=True)
    """Whether the teacher's neurons are the standard basis, whose overlaps are cheaper."""
    dropout: Dropout | None

    def __init__(
        self,
        teacher: Network,
        law: AbstractLaw,
        trained: AbstractTrained | None = None,
        *,
        dropout: Dropout | None = None,
    ):
        for role, thing, kind in (
            ("teacher", teacher, Network),
            ("law", law, AbstractLaw),
            ("trained", trained, AbstractTrained | None),
        ):
            if not isinstance(thing, kind):
                raise TypeError(
                    f"`{role}` is a {type(thing).__name__}, but a loss needs a teacher "
                    f"(`Network`), a law (`Gaussian(d)`, …) and `InnerWeights()` or `AllWeights()`."
                )
        if not isinstance(dropout, Dropout | None):
            raise TypeError(
                f"`dropout` is a {type(dropout).__name__}, but must say how often a neuron stays. "
                f"Use e.g. `Dropout(0.8)`."
            )
        if teacher.inputs != law.inputs:
            raise ValueError(
                f"Teacher and law live in different spaces: the teacher has {teacher.inputs} "
                f"inputs, the law {law.inputs}. Embed the teacher first: `teacher.embed(basis)`."
            )
        if teacher.inner.ndim != 2:
            raise ValueError(
                f"A loss has one teacher, but this is a batch of shape {teacher.inner.shape[:-2]}. "
                f"Take one: `teacher[0]`."
            )
        _no_bias("teacher", teacher)
        law.check(teacher.activation)
        self.teacher, self.law = teacher, law
        self.trained = InnerWeights() if trained is None else trained
        self.has_basis = bool(jnp.array_equal(teacher.inner, jnp.eye(law.inputs)))
        self.dropout = dropout

    @property
    def activation(self) -> AbstractActivation:
        """σ, of student and teacher."""
        return self.teacher.activation

    @property
    def is_smooth(self) -> bool:
        """Whether there is a Hessian wherever no neuron vanishes."""
        return self.law.is_smooth or self.activation.is_smooth

    def __call__(self, student: Network) -> Float[Array, "*b"]:
        """The loss of a student, or of each of a batch."""
        self._check(student)
        return self.value_at(student.inner, student.outer)

    def gradient(self, student: Network) -> Float[Array, "*b k p"]:
        """∂L/∂θ, a row for each neuron; p = d, or d + o with those of its o heads last."""
        self._check(student)
        return self.gradient_at(student.inner, student.outer)

    def hessian(self, student: Network) -> Float[Array, "kp kp"]:
        """∂²L/∂θ², dense, in the order of `θ.ravel()`.

        **Raises.** `ValueError` at a zero neuron, and for laws whose loss is only piecewise
        smooth: use `cell_hessian` there, knowing what it is.
        """
        if not self.is_smooth:
            raise ValueError(
                f"The loss under a {type(self.law).__name__} law has kinks and no Hessian; its "
                f"almost-everywhere second derivative is a Gauss-Newton matrix, which is never "
                f"negative, whatever the law behind the data. If that is what you want, call "
                f"`cell_hessian`."
            )
        return self.cell_hessian(student)

    def cell_hessian(self, student: Network) -> Float[Array, "kp kp"]:
        """The Hessian within the student's cell of activations; for smooth laws, the Hessian."""
        self._check_single(student)
        return self.cell_hessian_at(student.inner, student.outer)

    def hvp(self, student: Network, v: ArrayLike) -> Float[Array, "k p"]:
        """The Hessian applied to v (k × p), without the matrix; cost of about three gradients."""
        if not self.is_smooth:
            self.hessian(student)  # raises, with the reason
        self._check_single(student)
        shape = jax.eval_shape(self.trained.join, student.inner, student.outer).shape
        direction = jnp.asarray(v, dtype=float)
        if direction.shape != shape:
            raise ValueError(
                f"`v` must have the shape of the trained parameters, {shape}, but has "
                f"{direction.shape}. Reshape it: `v.reshape{shape}`."
            )
        return self.product_at(student.inner, student.outer, direction)

    def hessian_lipschitz(self, student: Network, radius: float = 0.0) -> float:
        r"""A bound on |D³L| in the ball of that radius around the student, in neurons only.

        $$ \max_i \frac{3\sqrt3\,|a_i|}{4\pi |w_i|^2}\Bigl(\sum_{j \ne i} |a_j||w_j| + \sum_j
           |b_j||v_j|\Bigr) + \frac{3}{\pi}\, |a|_2 \max_i \frac{|a_i|}{|w_i|} $$

        with norms at their worst in the ball. Follows from sup |∂³K/∂u³| = (3√3/4π)|v|/|u|² and
        sup |∂³K/∂u²∂v| = 1/(π|u|), and is linear in the width where the constant of Safran & Shamir
        (2018) is quadratic; times 4m² for other piecewise linear activations, and summed over
        outputs. Dropout adds a quadratic form and no third derivative. Infinite when a neuron can
        vanish in the ball, when heads are trained, for smooth activations, and for laws that have
        no closed form.
        """
        self._check_single(student)
        return float(self.lipschitz_at(student.inner, student.outer, jnp.asarray(radius)))

    @property
    def _seen(self) -> AbstractLaw | Filtered:
        """The law, as it sees students through their masks."""
        return self.law if self.dropout is None else Filtered(self.law, self.dropout)

    # The array forms: what the solvers call, with batches where the law allows them.

    def _each(self, of, w, a):
        """`of(a, b)` for student and teacher heads a, b; for several outputs, stacked over them.

        What does not depend on the heads, the overlaps, is computed once. One head a neuron
        against several outputs is the head of all of them.
        """
        b = self.teacher.outer
        if b.ndim == 1:
            return of(a, b)
        if a.ndim < w.ndim:
            a = jnp.broadcast_to(a[..., None], (*a.shape, b.shape[1]))
        return jax.vmap(of, (-1, -1))(a, b)

    def _sum(self, of, w, a):
        each = self._each(of, w, a)
        return each if self.teacher.outer.ndim == 1 else jnp.sum(each, axis=0)

    @jax.jit
    def value_at(
        self, w: Float[Array, "*b k d"], a: Float[Array, "*b k"] | Float[Array, "*b k o"]
    ) -> Float[Array, "*b"]:
        """The loss, of arrays."""
        v, sigma, law = self.teacher.inner, self.activation, self._seen
        return self._sum(lambda a, b: law.energy(w, a, v, b, sigma), w, a)

    @jax.jit
    def gradient_at(
        self, w: Float[Array, "*b k d"], a: Float[Array, "*b k"] | Float[Array, "*b k o"]
    ) -> Float[Array, "*b k p"]:
        """The gradient, of arrays."""
        v, sigma, law = self.teacher.inner, self.activation, self._seen
        known = None if self.has_basis else v
        slope = self._sum(lambda a, b: law.slope(w, a, known, b, sigma), w, a)
        if not self.trained.is_everything:
            return slope
        heads = self._each(lambda a, b: law.head_slope(w, a, v, b, sigma), w, a)
        return self.trained.join(
            slope, heads if heads.ndim < w.ndim else jnp.moveaxis(heads, 0, -1)
        )

    @jax.jit
    def cell_hessian_at(
        self, w: Float[Array, "k d"], a: Float[Array, " k"] | Float[Array, "k o"]
    ) -> Float[Array, "kp kp"]:
        """The Hessian, of arrays."""
        v, sigma, law = self.teacher.inner, self.activation, self._seen
        k, d = w.shape
        inner = self._sum(lambda a, b: law.curvature(w, a, v, b, sigma), w, a)
        if not self.trained.is_everything:
            return inner.reshape(k * d, k * d)
        mixed = self._each(lambda a, b: law.head_curvature(w, a, v, b, sigma), w, a)
        mixed = jnp.moveaxis(mixed.reshape(-1, k, d, k), 0, -1)
        o = mixed.shape[-1]
        gram = law.head_gram(w, sigma) if isinstance(law, Filtered) else law.gram(w, w, sigma)
        heads = jnp.einsum("ij,pq->ipjq", gram, jnp.eye(o))
        full = jnp.zeros((k, d + o, k, d + o))
        full = full.at[:, :d, :, :d].set(inner).at[:, d:, :, d:].set(heads)
        full = full.at[:, :d, :, d:].set(mixed).at[:, d:, :, :d].set(mixed.transpose(2, 3, 0, 1))
        return full.reshape(k * (d + o), k * (d + o))

    @jax.jit
    def product_at(
        self,
        w: Float[Array, "k d"],
        a: Float[Array, " k"] | Float[Array, "k o"],
        x: Float[Array, "k p"],
    ) -> Float[Array, "k p"]:
        """The Hessian-vector product, of arrays."""

        def slope(theta):
            return self.gradient_at(*self.trained.split(theta, a))

        return jax.jvp(slope, (self.trained.join(w, a),), (x,))[1]

    @jax.jit
    def lipschitz_at(
        self,
        w: Float[Array, "k d"],
        a: Float[Array, " k"] | Float[Array, "k o"],
        radius: Float[Array, ""],
    ) -> Float[Array, ""]:
        """The bound of `hessian_lipschitz`, of arrays."""
        return self._sum(lambda a, b: self._lipschitz(w, a, b, radius), w, a)

    def _lipschitz(self, w, a, b, radius):
        law, activation = self.law, self.activation
        if (
            self.trained.is_everything
            or not isinstance(law, AbstractEllipsoidal)
            or not isinstance(activation, PiecewiseLinear)
        ):
            return jnp.asarray(jnp.inf)
        root = law.root
        stretch = 1.0 if root is None else jnp.linalg.norm(root, ord=2)
        size = jnp.linalg.norm(law.whiten(w), axis=-1)
        theirs = jnp.linalg.norm(law.whiten(self.teacher.inner), axis=-1)
        reach, heads = stretch * radius, jnp.abs(a)
        least = jnp.maximum(size - reach, 0.0)
        length = jnp.linalg.norm(a)
        mass = heads @ size + length * reach + jnp.abs(b) @ theirs
        own = jnp.max(heads * (mass - heads * least) / least**2)
        shared = length * jnp.max(heads / least)
        share = activation.share * law.constant
        return share * stretch**3 * (_PURE * own + _SHARED * shared)

    def _check(self, student: Network) -> None:
        if not isinstance(student, Network):
            raise TypeError(
                f"The student is a {type(student).__name__}, but must be a `Network`. Use "
                f"`Network(inner)`, or `Network(inner, outer)` with its heads."
            )
        if student.inputs != self.law.inputs:
            raise ValueError(
                f"Student and teacher live in different spaces: the student has {student.inputs} "
                f"inputs, the teacher {self.teacher.inputs}. Embed the smaller one first, e.g. "
                f"`student.embed(basis)`."
            )
        _no_bias("student", student)
        if student.activation != self.activation:
            raise ValueError(
                f"The student's activation is {student.activation.name}, the teacher's "
                f"{self.activation.name}. Give the student the same: "
                f"`Network(inner, outer, activation=loss.activation)`."
            )

        if student.outputs != self.teacher.outputs:
            raise ValueError(
                f"Student and teacher have different outputs: `outer` of the student has shape "
                f"{student.outer.shape}, that of the teacher {self.teacher.outer.shape}. Give both "
                f"a number for each neuron, or both a row with as many columns."
            )

    def _check_single(self, student: Network) -> None:
        self._check(student)
        if student.inner.ndim != 2:
            raise ValueError(
                f"A Hessian is taken at one student, but this is a batch of shape "
                f"{student.inner.shape[:-2]}. Take one: `student[0]`."
            )
        if self.activation.is_smooth:
            return
        zero = jnp.flatnonzero(jnp.all(student.inner == 0, axis=-1))
        if len(zero):
            raise ValueError(
                f"Neuron {int(zero[0])} is zero, and the loss has no Hessian there. "
                f"Move it off zero or leave it out."
            )


_PURE: Final = 3 * math.sqrt(3) / (4 * math.pi)
_SHARED: Final = 3 / math.pi


def _no_bias(role: str, network: Network) -> None:
    if network.bias is not None:
        raise ValueError(
            f"The {role} has biases, which a loss knows as weights of one more input that is "
            f"constant 1. Use `{role}.with_constant()` and the law `with_constant(law)`, for "
            f"student and teacher alike."
        )

"""One die measured and corrected as its users do.

An ensemble of dies needs nothing of its own: seeds are leaves, so ``jax.vmap`` maps over them.

>>> import jax, jax.numpy as jnp, photonjax as pj
>>> core = pj.OpticalCore(rows=8, cols=8, array={"noise": 0.02})
>>> x, w = jnp.ones((2, 8)), jnp.ones((8, 3))
>>> of_die = lambda seed: pj.optical_matmul(x, w, core=core.replace(chip_seed=seed))
>>> jax.vmap(of_die)(jnp.arange(5, dtype=jnp.uint32)).shape
(5, 2, 3)
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core import random
from photonjax.core.core import OpticalCore
from photonjax.core.product import optical_dot_general
from photonjax.core.quantize import full_scale
from photonjax.core.site import Site

_COLUMNS_LAST = (((1,), (0,)), ((), ()))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Correction:
    """What probing one weight on one die found out; made by :func:`characterize`.

    Attributes:
      gain, offset: ``[N]`` of each column: outputs are ``gain x w + offset full_scale(x)``.
      weight: ``[K, N]`` to program instead, so that the die holds what was meant.
      residual, residual_affine, residual_programmed: relative error (root mean square of the outputs'
        error over that of the outputs) on probes of their own: as it was, with gain and offset taken
        out, and with ``weight`` programmed besides.
      noise: the same of the readings' dynamic noise alone: what no correction removes.
    """

    gain: jax.Array
    offset: jax.Array
    weight: jax.Array
    residual: jax.Array
    residual_affine: jax.Array
    residual_programmed: jax.Array
    noise: jax.Array

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Take gain and offset out of outputs ``y`` ``[..., N]`` for inputs ``x`` ``[..., K]``
        (with ``input.scale="per_token"``). Dead columns (gain below 1 %) are left as they are."""
        return (y - self.offset * full_scale(x, (-1,))) / _divisor(self.gain)


def _alive(gain: jax.Array) -> jax.Array:
    return jnp.abs(gain) > 0.01


def _divisor(gain: jax.Array) -> jax.Array:
    return jnp.where(_alive(gain), gain, 1.0)


def characterize(
    w: jax.Array,
    core: OpticalCore,
    *,
    key: jax.Array,
    site: Site = 0,
    probes: int | None = None,
    readings: int = 4,
    rounds: int = 2,
) -> Correction:
    """Calibrate one weight on one die by what its users can do: send vectors, look at outputs.

    Probes of signs at full scale (rows of a Hadamard matrix, so that inputs and offset cannot be mistaken
    for one another) are sent, each ``readings`` times; their projections are the matrix and the offsets
    that the die really has. Each column's gain is the projection of its
    matrix on the one meant. What is left is its programming error: the weight is programmed again
    with the error subtracted, ``rounds`` times. Stuck and dead cells cannot follow; the rest of the
    die's errors can, down to the noise of the readings and the weight's resolution.

    Args:
      w: ``[K, N]``.
      core: the machine, ``input.scale="per_token"``.
      key: draws probes and noise.
      site: the weight's number (or parameter path) on the die.
      probes: how many, at least ``K + 1`` (default ``4 K``); made up to a multiple of the next power
        of two above ``K``.
      readings: of each probe, averaged.
      rounds: of programming again.

    Returns:
      :class:`Correction`.

    Raises:
      ValueError: for too few probes, an input scale that is not per token, or power-of-two scales.

    Example:
      >>> import jax, photonjax as pj
      >>> core = pj.OpticalCore(rows=16, cols=8, array={"noise": 0.02}, adc={"bits": None})
      >>> core = core.replace(receiver={"gain_error": 0.05})
      >>> w = jax.random.normal(jax.random.key(0), (16, 8))
      >>> found = pj.characterize(w, core, key=jax.random.key(1))
      >>> bool(found.residual_programmed < found.residual_affine < found.residual)
      True
    """
    terms = w.shape[0]
    count = 4 * terms if probes is None else probes
    if count < terms + 1:
        raise ValueError(
            f"characterize: probes = {count} for {terms} inputs; take {terms + 1} or more"
        )
    if core.input.scale != "per_token":
        raise ValueError(
            f"characterize: core.input.scale = {core.input.scale!r}; probes need 'per_token'"
        )
    if core.input.power_of_two_scale:
        raise ValueError(
            "characterize: core.input.power_of_two_scale = True; probes need scales as they are: False"
        )
    probe_key, test_key, noise_key = jax.random.split(random.as_threefry(key), 3)
    order = 2 ** terms.bit_length()
    count = order * -(-count // order)
    row, column = jnp.arange(count)[:, None], jnp.arange(1, terms + 1)
    hadamard = 1 - 2 * (lax.population_count(row & column) & 1).astype(jnp.float32)
    signs = hadamard * jax.random.rademacher(probe_key, (terms,), jnp.float32)

    @jax.jit  # one program for every round
    def send(x: jax.Array, held: jax.Array, keys: jax.Array) -> jax.Array:
        one = lambda k: optical_dot_general(x, held, _COLUMNS_LAST, core=core, key=k, site=site)  # noqa: E731
        return lax.map(one, keys)

    def read(x: jax.Array, held: jax.Array, stream: int) -> jax.Array:
        """``[readings, T, N]``."""
        return send(x, held, jax.random.split(jax.random.fold_in(noise_key, stream), readings))

    def identify(held: jax.Array, stream: int) -> tuple[jax.Array, jax.Array]:
        """The matrix and the offsets that the die has while it holds ``held``."""
        outputs = read(signs, held, stream).mean(0)
        return signs.T @ outputs / count, outputs.mean(0)

    w = w.astype(jnp.float32)
    matrix, offset = identify(w, 0)
    size = jnp.sum(w * w, axis=0)
    gain = jnp.where(size > 0, jnp.sum(matrix * w, axis=0) / jnp.where(size > 0, size, 1.0), 1.0)
    held = w
    for turn in range(rounds):
        held = held + jnp.where(_alive(gain), w - matrix / _divisor(gain), 0.0)
        if turn + 1 < rounds:
            matrix, _ = identify(held, 1 + turn)

    test = jax.random.rademacher(test_key, (count, terms), jnp.float32)
    wanted = test @ w
    scale = jnp.sqrt(jnp.mean(wanted**2))
    before, after = read(test, w, rounds + 1), read(test, held, rounds + 2)
    affine = Correction(gain, offset, held, *[jnp.zeros(())] * 4)
    error = lambda y: jnp.sqrt(jnp.mean((y.mean(0) - wanted) ** 2)) / scale  # noqa: E731
    spread = (
        jnp.sqrt(jnp.mean(jnp.var(before, axis=0, ddof=1)) / readings) if readings > 1 else jnp.nan
    )
    return Correction(
        gain,
        offset,
        held,
        error(before),
        error(jax.vmap(affine, (None, 0))(test, before)),
        error(jax.vmap(affine, (None, 0))(test, after)),
        spread / scale,
    )

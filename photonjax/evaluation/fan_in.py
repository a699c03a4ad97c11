"""How the photons that one multiply needs move with fan-in K, at a fixed signal-to-noise ratio.

The argument, for ``differential`` (others below). A product ``p = sum_k a_k b_k`` of normalised operands is
detected with m photo-electrons per full-scale multiply. Shot noise (:mod:`photonjax.core.encoding`) gives p
the variance ``S / m`` with ``S = sum_k |a_k||b_k|``; what is really detected is ``m S`` electrons an output,
so ``n = m S / K`` a multiply. Over many outputs::

    SNR = E[p**2] / (E[S] / m) = n K E[p**2] / E[S]**2,    n = (SNR / K) E[S]**2 / E[p**2]

Everything hangs on how much of the light is signal, ``E[p**2] / E[S]**2``:

* Operands of one sign: ``p = S``, hence ``n = SNR / K``. The electrons of an output are shared by K
  multiplies: photons per multiply fall as 1/K.
* Signed, zero on average, uncorrelated: ``E[p**2] = K E[a**2] E[b**2]`` (the sum is a random walk) while
  ``E[S] = K E|a| E|b|``, hence ``n = SNR (E|a| E|b|)**2 / (E[a**2] E[b**2])``: no K in it. Between two
  detectors most of the light cancels, but its noise does not. For Gaussian operands ``n = SNR (2/pi)**2``.
* In between: where the summed products are correlated, or where larger K lets in rare large channels
  (``E[a**2] / (E|a|)**2`` grows), the exponent of K lies between 0 and -1. Giving every weight a random
  sign takes the correlations away, leaves ``|a||b|`` as it is, and so tells the two causes apart.

Full scales drop out: m depends on how operands are normalised, n does not.

Of the other encodings (signed, zero on average, uncorrelated), by the same steps:

* ``homodyne`` at the best split: variance ``A B / L`` of L electrons an output, ``A = sum a**2``,
  ``B = sum b**2``: ``n = (SNR / K) A B / E[p**2] = SNR``, no K in it.
* ``offset``: variance 4 K/m from ``n = m / 4`` electrons: ``n = SNR / (E[a**2] E[b**2])``, in units of the
  full scales: no K in it while these stay, growing with them where they follow the largest of K operands.
* ``quadrature``: variance 1/4m, ``m E[p**2]`` electrons an output: ``n = SNR / 4K``. Fields add before
  anything is counted, so 1/K holds for signed operands too. Beside it, the local oscillator's light, which is
  ten times the receiver's variance an output whatever K, is shared by K multiplies as well.

Cutting K into K/R sub-arrays of R rows adds the tiles' variances: ``sum_t S_t / m = S / m``, the same as
without cutting, as long as all tiles share their scales. At fixed m more tiles cost no light; at fixed
photons per *detector sample*, ``m R``, they cost K/R times as much in total. What each detector sample
pays by itself (receiver noise, a converter's energy) is not in this experiment, and does favour large R.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from photonjax.core import OpticalCore, measured_dot_general
from photonjax.evaluation.exponents import Exponent, fit_exponent, mean_exponent

__all__ = [
    "SITES",
    "Product",
    "capture",
    "model_products",
    "photons_at_unit_snr",
    "photons_needed",
    "random_products",
    "series_exponents",
]

LAST_BY_FIRST = (((1,), (0,)), ((), ()))
SITES = ("q_proj", "o_proj", "gate_proj", "down_proj")  # k, v see q's input, up sees gate's
DETECTED = 1e4  # full-scale photons of the controls; the result is scaled to the SNR asked for


@functools.partial(jax.jit, static_argnames="encoding")
def photons_at_unit_snr(
    x: jax.Array, w: jax.Array, key: jax.Array, encoding: str = "differential"
) -> jax.Array:
    """Detected photons per multiply that an SNR of 1 takes: geometric mean over tokens.

    Measured by sending x ``[T, K]`` through w ``[K, N]`` with shot noise alone: ``differential``'s exactly,
    ``homodyne`` at the best split, ``quadrature`` without its oscillator's light. Token by token, since a
    few tokens are a thousand times larger than others and have a full scale of their own.
    """
    core = OpticalCore(
        rows=w.shape[0],
        cols=w.shape[1],
        input={"bits": None},
        array={"bits": None},
        adc={"bits": None},
        encoding={"kind": encoding, "shot_estimate": "exact", "split": "best"},
        photons=DETECTED,
    )

    def one(row: jax.Array, key: jax.Array) -> Any:
        return measured_dot_general(row[None], w, LAST_BY_FIRST, core=core, key=key)[1]

    seen = jax.vmap(one)(x, jax.random.split(key, x.shape[0]))
    needed = seen.photons_per_multiply * seen.error / seen.signal
    return jnp.exp(jnp.mean(jnp.log(needed)))


class Product(NamedTuple):
    """A product to be cut to its first K rows.

    Attributes:
      series: what it is an example of.
      layer: of the model that it is from; None where operands are random.
      order: number of this order of the rows, or of this draw.
      x, w: inputs ``[T, K]`` and weights ``[K, N]``.
      encoding: that it is sent in.
    """

    series: str
    layer: int | None
    order: int
    x: Any
    w: Any
    encoding: str = "differential"


def random_products(
    terms: int,
    *,
    tokens: int,
    columns: int,
    repeats: int,
    key: jax.Array,
    encodings: Sequence[str] = ("differential",),
) -> list[Product]:
    """Examples of the two laws: Gaussian operands of either sign, and their magnitudes."""
    products = []
    for repeat in range(repeats):
        x_key, w_key = jax.random.split(jax.random.fold_in(key, repeat))
        x = jax.random.normal(x_key, (tokens, terms))
        w = jax.random.normal(w_key, (terms, columns))
        for kind in encodings:
            of = "" if kind == "differential" else f", {kind}"
            signed = Product(f"random, signed{of}", None, repeat, x, w, kind)
            positive = jnp.abs(x), jnp.abs(w)
            products += [
                signed,
                Product(f"random, non-negative{of}", None, repeat, *positive, kind),
            ]
    return products


def model_products(
    model: nnx.Module, tokens: np.ndarray, layers: int, orders: int
) -> Iterator[Product]:
    """Products of the :data:`SITES` in evenly spaced layers, as they are and with their rows shuffled.

    K has no order of its own. Each product also with a random sign to every weight: that leaves the light
    as it is and takes away what correlations between the summed products add to the signal.
    """
    shuffle = np.random.default_rng(0)
    for site, layer, x, w in capture(model, tokens, layers):
        for order in range(orders):
            rows = np.arange(x.shape[1]) if order == 0 else shuffle.permutation(x.shape[1])
            yield Product(site, layer, order, x[:, rows], w[rows])
            signs = shuffle.choice(np.asarray([-1, 1], np.float32), w.shape)
            yield Product(f"{site}, random signs", layer, order, x[:, rows], w[rows] * signs)


def photons_needed(
    products: Iterable[Product], terms: Iterable[int], snr_db: float, key: jax.Array
) -> list[dict[str, Any]]:
    """Detected photons per multiply that ``snr_db`` takes, each product cut to its first K rows.

    Returns:
      A row for each product and K in ``terms`` that it has: ``series``, ``layer``, ``order``, ``terms``
      and ``photons_per_multiply``.

    Example:
      >>> products = random_products(256, tokens=16, columns=64, repeats=1, key=jax.random.key(0))
      >>> rows = photons_needed(products, [64, 256], snr_db=20.0, key=jax.random.key(1))
      >>> found = series_exponents(rows)
      >>> [round(found[f"random, {name}"].value) for name in ("signed", "non-negative")]
      [0, -1]
    """
    sizes, rows = list(terms), []
    for i, p in enumerate(products):
        for k in sorted({min(t, p.x.shape[1]) for t in sizes}):
            noise = jax.random.fold_in(jax.random.fold_in(key, i), k)
            needed = float(photons_at_unit_snr(p.x[:, :k], p.w[:k], noise, p.encoding))
            place = {"series": p.series, "layer": p.layer, "order": p.order, "terms": k}
            rows.append(place | {"photons_per_multiply": needed * 10 ** (snr_db / 10)})
    return rows


def series_exponents(rows: Sequence[Mapping[str, Any]]) -> dict[str, Exponent]:
    """Exponent of K of each series: fitted for every layer and order, averaged over orders, then over layers.

    The error is that of the last mean: layers differ, orders of one layer hardly. Random operands have no
    layers; there each repetition stands by itself.
    """
    series: dict[str, dict[Any, dict[int, list[tuple[int, float]]]]] = {}
    for r in rows:
        unit = ("repetition", r["order"]) if r["layer"] is None else ("layer", r["layer"])
        orders = series.setdefault(r["series"], {}).setdefault(unit, {})
        orders.setdefault(r["order"], []).append((r["terms"], r["photons_per_multiply"]))
    found = {}
    for name, units in series.items():
        if min(len(g) for orders in units.values() for g in orders.values()) > 1:
            found[name] = mean_exponent(
                mean_exponent(fit_exponent(*zip(*g, strict=True)) for g in orders.values())
                for orders in units.values()
            )
    return found


class _Seen(nnx.Variable):
    """What a :class:`_Listener` heard."""


class _Listener(nnx.Module):
    """A digital ``dot_general`` that keeps its input."""

    def __init__(self, shape: tuple[int, ...]):
        self.seen = _Seen(jnp.zeros(shape))

    def __call__(self, x: jax.Array, w: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        self.seen[...] = x.reshape(self.seen[...].shape).astype(jnp.float32)
        return lax.dot_general(x, w, *args, **kwargs)


@functools.partial(jax.jit, static_argnums=0)
def _listen(graph: Any, state: nnx.State, tokens: jax.Array) -> nnx.State:
    model = nnx.merge(graph, state)
    model(tokens[None])
    return nnx.state(model, _Seen)


def capture(
    model: nnx.Module, tokens: np.ndarray, layers: int, sites: Sequence[str] = SITES
) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
    """Inputs ``[T, K]`` and weights ``[K, N]`` of the sites with these last names in evenly spaced layers.

    ``sites``: of modules that multiply their ``kernel``; those that the model does not have are left out.
    """
    model = nnx.clone(model)
    linears: list[tuple[Any, Any]] = [
        (path, module)
        for path, module in nnx.iter_modules(model)
        if path and path[-1] in sites and hasattr(module, "kernel")
    ]
    for _, module in linears:
        *stack, terms, _ = module.kernel[...].shape
        module.dot_general = nnx.data(_Listener((*stack, tokens.size, terms)))
    graph, state = nnx.split(model)
    nnx.update(model, _listen(graph, state, jnp.asarray(tokens, jnp.int32)))

    found: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
    for path, module in linears:
        heard: Any = module.dot_general
        x, w = np.asarray(heard.seen[...]), np.asarray(module.kernel[...])
        first = next((int(p) for p in map(str, path) if p.isdigit()), 0)
        each = zip(x, w, strict=True) if x.ndim == 3 else [(x, w)]
        for layer, pair in enumerate(each, first):
            found.setdefault(str(path[-1]), {})[layer] = pair
    return [
        (site, int(layer), *of_layer[int(layer)])
        for site, of_layer in sorted(found.items(), key=lambda item: sites.index(item[0]))
        for layer in np.unique(np.linspace(0, len(of_layer) - 1, layers).round())
    ]

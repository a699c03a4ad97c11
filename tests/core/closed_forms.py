"""Electrons on each detector, written out from fields and rails, and outputs to hold against them."""

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj

NUMBERS = (((1,), (0,)), ((), ()))
ENCODINGS = ["differential", "offset", "homodyne"]
CHARGE_C = 1.602176634e-19
SAMPLES = 100_000
# A variance estimated from n normal draws scatters by sqrt(2/n): five of these, 2.2 %.
CLOSE = 5 * np.sqrt(2 / SAMPLES)
ANALOG = pj.OpticalCore(
    rows=64,
    cols=64,
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    encoding={"shot_estimate": "exact"},
)


def fields_of(cls=pj.OpticalCore, prefix=""):
    """Every field of a core but its costs by dotted name: the dataclass's field and its type."""
    found, hints = {}, typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "child" in field.metadata:
            found |= fields_of(field.metadata["child"], f"{field.name}.")
        elif field.name != "costs":
            found[prefix + field.name] = (field, hints[field.name])
    return found


FIELDS = fields_of()
LEAVES = {  # numbers; what holds a matrix is tried in a test of its own
    name: field
    for name, (field, _) in FIELDS.items()
    if field.metadata.get("leaf") and not field.metadata.get("taps")
}
CHOICES = {
    name: typing.get_args(kind)
    for name, (_, kind) in FIELDS.items()
    if typing.get_origin(kind) is typing.Literal
}
FLAGS = [name for name, (_, kind) in FIELDS.items() if kind is bool]


# What is measured against the light; and what an encoding has no use for.
LIT = tuple(f"receiver.{n}" for n in ("noise_a_per_rthz", "dark_current_a", "saturation_electrons"))
FIELDS_OF = {"homodyne": "encoding.input_fraction", "quadrature": "encoding.oscillator"}
# The light of emitters modulated by their current does not interfere.
EMITTERS = tuple(f"source.{n}" for n in ("threshold_fraction", "threshold_error", "bandwidth_hz"))
PHASES = ("receiver.phase_error", "receiver.phase_noise")  # which intensities have not
MEANINGLESS = {
    "quadrature": (
        *("receiver.saturation_electrons", "receiver.imbalance", FIELDS_OF["homodyne"]),
        *EMITTERS,
    ),
    "offset": ("receiver.imbalance", *PHASES, *FIELDS_OF.values()),
    "differential": (*PHASES, *FIELDS_OF.values()),
    "homodyne": (*EMITTERS, FIELDS_OF["quadrature"]),
}


@functools.partial(jax.jit, static_argnames="samples")
def product(core, a, b, key, samples=SAMPLES):
    x = jnp.broadcast_to(a, (samples, a.size))
    return pj.optical_dot_general(x, b, NUMBERS, core=core, key=key)


def outputs(core, a, b, seed=0):
    """``[SAMPLES, N]`` outputs of one token, all scales 1."""
    assert np.abs(a).max() == 1 and (np.abs(b).max(0) == 1).all()
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return np.asarray(product(core, a, b, jax.random.key(seed)), np.float64)


def leak_of(extinction_db):
    """Light through a dark modulator, in units of its swing."""
    least = 10 ** (-extinction_db / 10)
    return least / (1 - least)


def counts_of(encoding, a, b, m, h=0.0):
    """Mean electrons on each detector ``[detectors, N]``, rail by rail; ``h`` leaks through each."""
    a = a[:, None]
    if encoding == "differential":
        rails = [[np.maximum(s * v, 0) + h for s in (1, -1)] for v in (a, b)]
        (up_a, down_a), (up_b, down_b) = rails
        return m * np.stack(
            [(up_a * up_b + down_a * down_b).sum(0), (up_a * down_b + down_a * up_b).sum(0)]
        )
    if encoding == "offset":
        return m * (((1 + a) / 2 + h) * ((1 + b) / 2 + h)).sum(0)[None]
    fields = np.sqrt(m / 2) * a, np.sqrt(m / 2) * b  # and m h / 2 of each field in quadrature
    half = (m / 2) * h * len(a)
    return np.stack([((fields[0] + s * fields[1]) ** 2 / 2).sum(0) + half for s in (1, -1)])


def estimate_of(encoding, counts, a, b, m, h=0.0):
    """The estimate of ``p`` from counts: a difference, or less what the digital side knows."""
    if encoding != "offset":
        return (counts[0] - counts[1]) / m
    c = 1 + 2 * h
    return 4 * counts[0] / m - c**2 * len(a) - c * (a.sum() + b.sum(0))


def operands(K, N=3, size=1.0, seed=0):
    """A token and a matrix of full scale 1, all but one element of each column within ``size``."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-size, size, K), rng.uniform(-1, 1, (K, N))
    a[0], b[0] = 1, (-1) ** np.arange(N)
    return a, b


def assert_moments(found, mean, covariance):
    """Sample means and normalised covariances within five standard errors."""
    sigma = np.sqrt(np.diag(covariance))
    assert (np.abs(found.mean(0) - mean) < 5 * sigma / np.sqrt(len(found)) + 1e-5).all()
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=CLOSE)


def shot(encoding, a, b, m, h=0.0):
    """Variance of ``p`` from counts on every detector."""
    gain = 4 if encoding == "offset" else 1
    return gain**2 * counts_of(encoding, a, b, m, h).sum(0) / m**2

"""Every field of a core against every kind of value that is none for it: one line that names the field."""

from __future__ import annotations

import collections
import dataclasses
import fractions
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj
from photonjax.core.costs import CoreCosts, SharedCosts
from photonjax.core.fields import get_field

CORE = pj.OpticalCore(photons=100.0, costs=SharedCosts())
WRONG = {
    "null": None,
    "truth": True,
    "NumPy's truth": np.bool_(True),
    "text": "8",
    "number as text": "1e3",
    "bytes": b"8",
    "list": [1.0, 2.0],
    "empty list": [],
    "tuple": (1.0,),
    "mapping": {"a": 1.0},
    "set": {1.0},
    "complex": 1.0 + 1.0j,
    "NumPy's complex": np.complex64(1.0),
    "complex array": np.ones(2, complex),
    "array of text": np.array(["a"]),
    "array of objects": np.array([None]),
    "array of truths": jnp.array([True]),
    "key": jax.random.key(0),
    "object": object(),
    "function": repr,
    "type": float,
    "fraction": fractions.Fraction(1, 2),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "NumPy's NaN": np.float32("nan"),
    "array with a NaN": np.array([1.0, np.nan]),
    "too large for a float": 10**400,
}


def _fields(stage: Any, path: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for field in dataclasses.fields(stage):
        value = getattr(stage, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{path}{field.name}.")
        yield f"{path}{field.name}", field


FIELDS = dict(_fields(CORE))
# What of the above some fields may be. None: what leaves a source, a converter or a limit out.
MEANT = {
    (name, "null")
    for name, field in FIELDS.items()
    if field.default is None or name in ("adc.bits", "input.bits", "array.bits")
}
MEANT |= {(name, "function") for name, field in FIELDS.items() if field.metadata.get("function")}
MEANT |= {(name, "truth") for name in FIELDS if isinstance(get_field(CORE, name), bool)}


def test_every_field_refuses_every_wrong_value():
    counts: collections.Counter[str] = collections.Counter()
    for name in FIELDS:
        for kind, value in WRONG.items():
            try:
                CORE.replace(**{name: value})
            except (ValueError, TypeError) as error:
                text = str(error)
                assert text.startswith(f"OpticalCore.{name}"), (name, kind, text)
                assert "\n" not in text and len(text) < 700, (name, kind, text)
                assert kind == "null" or (name, kind) not in MEANT, (name, kind, text)
                counts["refused"] += 1
            else:
                assert (name, kind) in MEANT, (name, kind)
                counts["meant"] += 1
    assert counts["refused"] > 1500 and counts["meant"] < 90, counts


def test_numbers_arrays_and_tracers_go_on_working():
    for photons in (3, 3.0, np.float32(3), np.int64(3), np.array([1.0, 3.0]), jnp.float32(3)):
        assert CORE.replace(photons=photons).photons is photons
    assert type(CORE.replace(rows=np.int64(8), chip_seed=np.uint32(7)).chip_seed) is int
    assert CORE.replace(rows=np.int64(8)).rows == 8

    def squared(photons: jax.Array) -> jax.Array:
        return CORE.replace(photons=photons).photons ** 2

    assert jax.vmap(squared)(jnp.array([1.0, 3.0])).tolist() == [1.0, 9.0]
    assert (jax.jit(squared)(3.0), jax.grad(squared)(3.0)) == (9.0, 6.0)
    dies = jax.vmap(lambda s: CORE.replace(chip_seed=s).chip_seed)(jnp.arange(3))
    assert dies.tolist() == [0, 1, 2]


def test_seeds_are_integers():
    for seed in (1.0, np.float32(1), jnp.ones(2), -1, 2**32):
        with pytest.raises((TypeError, ValueError), match=r"OpticalCore\.chip_seed = "):
            CORE.replace(chip_seed=seed)


def test_costs_are_named_where_they_stand():
    with pytest.raises(
        ValueError, match=r"OpticalCore\.costs\.cores = 0 is not an integer of 1 \.\.\."
    ):
        CoreCosts(cores=0)
    with pytest.raises(TypeError, match=r"OpticalCore\.costs has no field 'coars'"):
        CoreCosts(coars=2)

"""What every weight loader shares: an abstract decoder, its parameters by name, and filling them
one at a time.

A loader says where each parameter of the *unrolled* decoder comes from; the stacked form is filled
layer by layer into the same arrays. Names and shapes are checked against the file before anything
is allocated.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder

__all__ = [
    "CheckpointError",
    "check_shapes",
    "fill_decoder",
    "parameter_shapes",
    "source_name",
    "source_shapes",
    "stack_layers",
    "unstack_layers",
]

_ALIGNMENT = 64  # bytes; XLA on CPU takes over a numpy array without a copy if it is aligned so


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded: one line with the file, the culprit and the remedy."""


def _abstract(config: DecoderConfig, scan_layers: bool, dtype: Any) -> Decoder:
    return nnx.eval_shape(
        lambda: Decoder(
            config, rngs=nnx.Rngs(0), scan_layers=scan_layers, dtype=dtype, param_dtype=dtype
        )
    )


def _flat(model: Any) -> dict[str, nnx.Param]:
    return {
        "/".join(map(str, path)): value
        for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }


def parameter_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Path and shape of every parameter of the unrolled decoder; nothing is allocated.

    >>> config = DecoderConfig(
    ...     vocab_size=8, hidden_size=4, intermediate_size=6, num_layers=1, num_heads=2
    ... )
    >>> parameter_shapes(config)["layers/0/mlp/down_proj/kernel"]
    (6, 4)
    """
    one = dataclasses.replace(config, num_layers=1)
    shapes = {
        path: tuple(param.shape)
        for path, param in _flat(_abstract(one, False, jnp.float32)).items()
    }
    layer = {path: shape for path, shape in shapes.items() if path.startswith("layers/0/")}
    for i in range(1, config.num_layers):
        shapes |= {
            path.replace("layers/0/", f"layers/{i}/"): shape for path, shape in layer.items()
        }
    return shapes


def source_name(names: Mapping[str, str], path: str) -> str:
    """The name in the file of a parameter of the unrolled decoder, by a table of both."""
    layer, template = layer_of(path)
    return names[template].format(layer)


def source_shapes(config: DecoderConfig, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the file; a kernel [in, out] is stored as [out, in]."""
    return {
        source_name(names, path): shape[::-1] if path.endswith("kernel") else shape
        for path, shape in parameter_shapes(config).items()
    }


def check_shapes(
    file: Any,
    config: DecoderConfig,
    names: Mapping[str, str],
    found: Mapping[str, tuple[int, ...]],
) -> None:
    """Raises CheckpointError for a tensor that is missing, of a wrong shape or not asked for.

    Args:
      file: for the message.
      config: the decoder.
      names: path in the decoder to name in the file, ``{}`` for the layer.
      found: name and shape of the tensors in the file.
    """
    layers = min(config.num_layers, len(found))  # a corrupt count must not take for ever
    expected = source_shapes(dataclasses.replace(config, num_layers=layers), names)
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(f"{file}: tensor {name!r} is missing: fetch the file again")
        if tuple(found[name]) != tuple(shape):
            raise CheckpointError(
                f"{file}: tensor {name!r} has shape {list(found[name])} but the configuration says "
                f"{list(shape)}: the weights belong to another configuration"
            )
    for name in found:
        if name not in expected:
            what = "a bias" if name.endswith("bias") else "a tensor"
            raise CheckpointError(
                f"{file}: {what} this decoder has no place for: {name!r}: use a model without it"
            )


def fill_decoder(
    config: DecoderConfig, read: Callable[[str, np.ndarray], None], *, scan_layers: bool, dtype: Any
) -> Decoder:
    """A decoder with the weights that `read` gives, without initialising any.

    Args:
      config: sizes; already checked against the file.
      read: called as read(path, out) for each path of `parameter_shapes`: writes that parameter
        into the array `out`.
      scan_layers: the stacked form.
      dtype: of the weights and of the products' operands.
    """
    model = _abstract(config, scan_layers, dtype)
    params = _flat(model)
    filled: dict[Any, Any] = {}
    for path in list(params):
        shape = params[path].shape
        out = _aligned_empty(shape, np.dtype(dtype))
        if path.startswith("layers/block/"):
            for i in range(config.num_layers):
                read(path.replace("/block/", f"/{i}/", 1), out[i])
        else:
            read(path, out)
        key = tuple(int(part) if part.isdigit() else part for part in path.split("/"))
        filled[key] = params[path].replace(jax.device_put(out, may_alias=True))
        del out
    nnx.update(model, nnx.from_flat_state(filled))  # type: ignore[arg-type]
    return model


def _aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def stack_layers(state: nnx.State) -> nnx.State:
    """The state of an unrolled decoder as that of one with ``scan_layers=True``: ``layers/{i}/x``
    -> ``layers/block/x``.

    >>> state = nnx.State({"layers": {0: {"w": jnp.ones(3)}, 1: {"w": jnp.ones(3)}}})
    >>> stack_layers(state)["layers"]["block"]["w"].shape
    (2, 3)
    """
    rest = {key: value for key, value in state.items() if key != "layers"}
    layers = [state["layers"][i] for i in sorted(state["layers"])]
    return nnx.State(
        {**rest, "layers": {"block": jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)}}
    )


def unstack_layers(state: nnx.State) -> nnx.State:
    """The inverse of `stack_layers`."""
    rest = {key: value for key, value in state.items() if key != "layers"}
    block = state["layers"]["block"]
    count = jax.tree.leaves(block)[0].shape[0]
    layers = {i: jax.tree.map(lambda leaf, i=i: leaf[i], block) for i in range(count)}
    return nnx.State({**rest, "layers": layers})


def layer_of(path: str) -> tuple[str, str]:
    """("3", "layers/{}/mlp/up_proj/kernel") of a path inside a layer; ("", path) of any other."""
    found = re.match(r"layers/(\d+)/", path)
    return (found[1], path.replace(f"/{found[1]}/", "/{}/", 1)) if found else ("", path)

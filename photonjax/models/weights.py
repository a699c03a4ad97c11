"""What every weight loader shares: a model without weights, its parameters by name, and filling
them one at a time.

A loader says where each parameter of the *unrolled* model comes from; the stacked form is filled
layer by layer into the same arrays. Names and shapes are checked against the file before anything
is allocated.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.models.abstract import ModelConfig, abstract_model

__all__ = [
    "CheckpointError",
    "Layout",
    "check_shapes",
    "check_spelling",
    "fill_model",
    "layer_of",
    "overlapping",
    "parameter_shapes",
    "stack_layers",
    "unstack_layers",
    "weight_bytes",
]

_ALIGNMENT = 64  # bytes; XLA on CPU takes over a numpy array without a copy if it is aligned so


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded: one line with the file, the culprit and the remedy."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a file keeps each parameter.

    Several parameters may go by one name: then they are rows of one tensor, one parameter after the
    other in the order of `names`, and that once for each of `groups` (GPT-NeoX: the rows of q, k
    and v of the first head, of the second, ...).

    Attributes:
      names: path in the unrolled model, ``{}`` for the layer, to name in the file, ``{}`` for the
        layer and, where experts lie apart, a second one for the expert.
      transposed: a kernel [in, out] is stored as [out, in], that of experts [E, in, out] as [E, out, in].
      groups: of the rows of a tensor that several parameters share.
      config: the model's, needed where parameters share tensors.

    >>> layout = Layout({"layers/{}/up/kernel": "h.{}.up.weight"})
    >>> layout.tensors("layers/3/up/kernel", (4, 8))
    [('h.3.up.weight', (8, 4), ())]
    """

    names: Mapping[str, str]
    transposed: bool = True
    groups: int = 1
    config: ModelConfig | None = None

    def tensors(
        self, path: str, shape: tuple[int, ...]
    ) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
        """Name and shape of every tensor that makes a parameter, and its index in it."""
        layer, template = layer_of(path)
        name = self.names[template]
        swap = self.transposed and path.endswith("kernel")
        stored = (*shape[:-2], shape[-1], shape[-2]) if swap else shape
        if template in self._shared:
            stored = (self._shared[template][0], *stored[1:])
        if name.count("{}") == 2:
            return [(name.format(layer, i), stored[1:], (i,)) for i in range(shape[0])]
        return [(name.format(layer), stored, ())]

    def copy(self, path: str, out: np.ndarray, read: Callable[[str, np.ndarray], None]) -> None:
        """Fills a parameter from its tensors, by ``read(name, array)``."""
        shared = self._shared.get(layer_of(path)[1])
        for name, stored, index in self.tensors(path, out.shape):
            part = out[index]
            swap = self.transposed and path.endswith("kernel")
            part = part.swapaxes(-1, -2) if swap else part
            if shared is None:
                read(name, part)
                continue
            whole = np.empty(stored, out.dtype)
            read(name, whole)
            chunks = whole.reshape(self.groups, -1, *stored[1:])
            part[...] = chunks[:, shared[1] : shared[2]].reshape(part.shape)

    @functools.cached_property
    def _shared(self) -> dict[str, tuple[int, int, int]]:
        """Rows of the tensor that a parameter shares, and the parameter's first and last in a group."""
        by_name: dict[str, list[str]] = {}
        for template, name in self.names.items():
            by_name.setdefault(name, []).append(template)
        if self.config is None or len(by_name) == len(self.names):
            return {}
        shapes = parameter_shapes(dataclasses.replace(self.config, num_layers=1))
        found = {}
        for templates in by_name.values():
            rows = {t: shapes[p][-1] for t in templates if (p := t.format(0)) in shapes}
            at = 0
            for template, size in rows.items() if len(rows) > 1 else ():
                found[template] = (sum(rows.values()), at, at + size // self.groups)
                at += size // self.groups
        return found


def _flat(model: Any) -> dict[str, nnx.Param]:
    return {
        "/".join(map(str, path)): value
        for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Path and shape of every parameter of the unrolled model; nothing is allocated.

    >>> from photonjax.models.config import DecoderConfig
    >>> config = DecoderConfig(
    ...     vocab_size=8, hidden_size=4, intermediate_size=6, num_layers=1, num_heads=2
    ... )
    >>> parameter_shapes(config)["layers/0/mlp/down_proj/kernel"]
    (6, 4)
    """
    model = abstract_model(dataclasses.replace(config, num_layers=1), scan_layers=False)
    shapes = {path: tuple(param.shape) for path, param in _flat(model).items()}
    layer = {path: shape for path, shape in shapes.items() if path.startswith("layers/0/")}
    for i in range(1, config.num_layers):
        shapes |= {
            path.replace("layers/0/", f"layers/{i}/"): shape for path, shape in layer.items()
        }
    return shapes


def weight_bytes(config: ModelConfig, dtype: Any) -> int:
    """What a model's weights take in memory.

    >>> from photonjax.models.shapes import named
    >>> weight_bytes(named("llama-3-8b"), jnp.bfloat16) / 2**30
    14.9...
    """
    numbers = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    return numbers * jnp.dtype(dtype).itemsize


def check_shapes(
    file: Any, config: ModelConfig, layout: Layout, found: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises CheckpointError for tensors that are missing, of a wrong shape or not asked for.

    Args:
      file: for the message.
      config: the model.
      layout: where the file keeps its parameters.
      found: name and shape of the tensors in the file.
    """
    layers = min(config.num_layers, len(found))  # a corrupt count must not take for ever
    expected: dict[str, tuple[int, ...]] = {}
    for path, shape in parameter_shapes(dataclasses.replace(config, num_layers=layers)).items():
        expected |= {name: stored for name, stored, _ in layout.tensors(path, shape)}
    missing = [name for name in expected if name not in found]
    if missing:
        raise CheckpointError(
            f"{file}: {_tensors('is', 'are', missing)} missing: fetch the file again"
        )
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise CheckpointError(
                f"{file}: tensor {name!r} has shape {list(found[name])} but the configuration says "
                f"{list(shape)}: the weights belong to another configuration"
            )
    extra = [name for name in found if name not in expected]
    if extra:
        raise CheckpointError(
            f"{file}: this model has no place for: {_tensors('', '', extra)}: "
            "use a checkpoint without, or its own config.json"
        )


def overlapping(extents: Mapping[str, tuple[int, int]]) -> tuple[str, str] | None:
    """Two tensors that share bytes of a file, by the first byte of each and the one after its last.

    >>> overlapping({"a": (0, 8), "b": (8, 16), "c": (12, 14)})
    ('b', 'c')
    """
    filled = [(*extent, name) for name, extent in extents.items() if extent[1] > extent[0]]
    last, owner = -1, ""
    for start, end, name in sorted(filled):
        if start < last:
            return owner, name
        last, owner = end, name
    return None


def check_spelling(file: Any, found: Iterable[str], known: Iterable[str]) -> None:
    """Raises CheckpointError for a key with one or two letters wrong: what it should say would take
    its default.

    Args:
      file: for the message.
      found: keys in the file.
      known: keys that are read.

    >>> check_spelling("config.json", ["rope_theta", "use_cache"], ["rope_theta", "head_dim"])
    """
    found, known = set(found), set(known)
    for key in sorted(found - known):
        for right in sorted(known - found):
            wrong = sum(a != b for a, b in zip(key, right, strict=False))
            if len(key) == len(right) > 5 and wrong < 3:
                raise CheckpointError(
                    f"{file}: key {key!r} is not known, and {right!r} is missing: "
                    "correct it, or fetch the file again"
                )


def _tensors(one: str, many: str, names: Iterable[str], most: int = 8) -> str:
    """ "tensor 'a' is", or "3 tensors ('a', 'b', 'c') are"; no more than `most` by name."""
    names = list(names)
    if len(names) == 1:
        return f"tensor {names[0]!r} {one}".rstrip()
    listed = ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")
    return f"{len(names)} tensors ({listed}) {many}".rstrip()


def fill_model(
    config: ModelConfig, read: Callable[[str, np.ndarray], None], *, scan_layers: bool, dtype: Any
) -> Any:
    """A model with the weights that `read` gives, without initialising any.

    Args:
      config: sizes; already checked against the file.
      read: called as read(path, out) for each path of `parameter_shapes`: writes that parameter
        into the array `out`.
      scan_layers: the stacked form.
      dtype: of the weights and of the products' operands.
    """
    model = abstract_model(config, scan_layers=scan_layers, dtype=dtype)
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

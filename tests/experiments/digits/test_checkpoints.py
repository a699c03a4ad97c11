"""Weights out of a published checkpoint, read without running its code."""

from __future__ import annotations

import io
import pickle
import zipfile

import jax
import numpy as np
import pytest

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


def _torch_file(path, network):
    """A checkpoint as PyTorch lays it out, written without PyTorch."""

    class Tensor:
        def __init__(self, key, values):
            self.key, self.values = key, values

        def __reduce__(self):
            storage = _Storage(self.key, self.values.size)
            shape = self.values.shape
            strides = tuple(n // 4 for n in self.values.strides)
            return _rebuild_tensor_v2, (storage, 0, shape, strides, False, None)

    state = {}
    with zipfile.ZipFile(path, "w") as archive:
        for i, layer in enumerate(network):
            for name, values in (("weight", layer.weights.T), ("bias", layer.biases)):
                values = np.ascontiguousarray(values, np.float32)
                state[f"fcs.{i}.{name}"] = Tensor(f"{i}{name}", values)
                archive.writestr(f"archive/data/{i}{name}", values.tobytes())
        content = io.BytesIO()
        writer = _Writer(content, protocol=2)
        writer.dump({"model_state_dict": state, "epoch": 97})
        archive.writestr("archive/data.pkl", content.getvalue())
    return path


class _Storage:
    def __init__(self, key, size):
        self.key, self.size = key, size


class FloatStorage:
    """Stands for torch.FloatStorage: only its name is read."""


def _rebuild_tensor_v2(*_):
    raise AssertionError("the reader has its own")


class _Writer(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, _Storage):
            return ("storage", FloatStorage, thing.key, "cpu", thing.size)
        return None


def test_weights_out_of_a_checkpoint(modules, network, tmp_path):
    load, same = modules.networks.load, jax.tree.map
    modules.networks.save(tmp_path / "two.npz", [network, network])
    for file, count in (
        (_torch_file(tmp_path / "published.pt", network), 1),
        (tmp_path / "two.npz", 2),
    ):
        found = load(file)
        assert len(found) == count
        for read in found:
            assert all(jax.tree.leaves(same(lambda a, b: bool((a == b).all()), read, network)))


def test_a_checkpoint_runs_no_code(modules, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch gone'\ntR.")
    with pytest.raises(modules.harness.UserError, match="os.system has no place in a network"):
        modules.networks.load(tmp_path / "evil.pt")

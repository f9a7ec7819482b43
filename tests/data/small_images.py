"""Small files in the formats of MNIST and CIFAR-10, written by the tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from grandpp.data.digests import IMAGE_SETS, RawFile


def register(monkeypatch, name: str, raw: Path, url: str | None = None) -> None:
    """Make the packed files in a folder the published ones; those that it lacks stay."""
    known = IMAGE_SETS[name]
    files = tuple(
        RawFile(file.name, hashlib.sha256((raw / file.name).read_bytes()).hexdigest())
        if (raw / file.name).exists()
        else file
        for file in known.files
    )
    monkeypatch.setitem(IMAGE_SETS, name, replace(known, files=files, url=url or known.url))


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(raw: Path, parts=("train", "t10k"), count: int = 10, packed: bool = True):
    """Write the idx files; returns the images and labels of every part."""
    raw.mkdir(parents=True, exist_ok=True)
    written = {}
    for seed, part in enumerate(parts):
        images = np.random.default_rng(seed).integers(0, 256, (count, 4, 3))
        labels = np.arange(count) % 10
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name, content = f"{part}-{kind}-ubyte", idx(array)
            if packed:
                name, content = name + ".gz", gzip.compress(content)
            (raw / name).write_bytes(content)
        written[part] = images, labels
    return written


def cifar_batch(seed: int, count: int = 3) -> dict[bytes, object]:
    rng = np.random.default_rng(seed)
    return {
        b"batch_label": b"a test",
        b"labels": rng.integers(0, 10, count).tolist(),
        b"data": rng.integers(0, 256, (count, 3072)).astype(np.uint8),
    }


def write_binary_cifar(folder: Path, names=("data_batch_1", "test_batch"), count: int = 3):
    """Write files of the binary version; returns the batches by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = {name: cifar_batch(i, count) for i, name in enumerate(names)}
    for name, batch in batches.items():
        records = zip(batch[b"labels"], batch[b"data"], strict=True)
        content = b"".join(bytes([label]) + pixels.tobytes() for label, pixels in records)
        (folder / f"{name}.bin").write_bytes(content)
    return batches


def write_cifar(raw: Path, **replaced: object) -> dict[str, dict[bytes, object]]:
    """Write the archive; a batch can be replaced by another object, or left out by None."""
    raw.mkdir(parents=True, exist_ok=True)
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    batches = {name: replaced.get(name, cifar_batch(i)) for i, name in enumerate(names)}
    with tarfile.open(raw / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, batch in {"batches.meta": {b"label_names": [b"cat"]}, **batches}.items():
            if batch is not None:
                content = pickle.dumps(batch, protocol=4)
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return batches

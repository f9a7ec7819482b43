"""Read the Python archive of CIFAR-10, pickles in a tar file, without executing code."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDER = "cifar-10-batches-py/"
TRAIN = tuple(f"{FOLDER}data_batch_{n}" for n in range(1, 6))
TEST = (f"{FOLDER}test_batch",)
SHAPE = (3, 32, 32)

# What pickles of NumPy arrays refer to; the function was moved between modules of NumPy.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class Batches(NamedTuple):
    """Images ``[N, 3, 32, 32]`` as bytes, and labels ``[N]``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_cifar10(content: bytes) -> list[Batches]:
    """Read the training and the test images; the archive's digest must have been checked.

    Nothing is unpacked to disk, and pickles that refer to anything but NumPy arrays are refused.

    Args:
        content: Bytes of ``cifar-10-python.tar.gz``.

    Raises:
        ValueError: If it is cut off, lacks a batch, or holds anything but images and labels.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            # Reading the members in their order decompresses the archive only once.
            batches = {
                member.name: _batch(member.name, archive.extractfile(member).read())  # type: ignore[union-attr]
                for member in archive
                if member.isfile() and member.name in TRAIN + TEST
            }
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"expected a whole tar.gz archive (got {error})") from error
    missing = [name for name in TRAIN + TEST if name not in batches]
    if missing:
        raise ValueError(f"expected {', '.join(missing)} in the archive (got none)")
    return [_joined([batches[name] for name in names]) for names in (TRAIN, TEST)]


def _joined(batches: list[Batches]) -> Batches:
    images, labels = zip(*batches, strict=True)
    return Batches(np.concatenate(images), np.concatenate(labels))


def _batch(name: str, content: bytes) -> Batches:
    # "bytes" because Python 2 wrote the pickles.
    found = ArraysOnly(io.BytesIO(content), encoding="bytes")
    try:
        batch = found.load()
        data, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except Exception as error:  # broken pickles raise anything, from IndexError to MemoryError
        raise ValueError(f"expected a dictionary of arrays in {name} (got {error})") from error
    pixels = int(np.prod(SHAPE))
    if not (
        isinstance(data, np.ndarray)
        and data.dtype == np.uint8
        and data.shape == (len(labels), pixels)
    ):
        raise ValueError(f"expected uint8 images [{len(labels)}, {pixels}] in {name}")
    if (
        labels.dtype.kind not in "iu"
        or labels.ndim != 1
        or not ((labels >= 0) & (labels < 10)).all()
    ):
        raise ValueError(f"expected labels from 0 to 9 in {name}")
    return Batches(data.reshape(-1, *SHAPE), labels.astype(np.int64))


class ArraysOnly(pickle.Unpickler):
    """An unpickler that accepts only NumPy arrays and plain Python values."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a function or class that pickles of arrays need.

        Raises:
            pickle.UnpicklingError: For any other name.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"expected only NumPy arrays (got {module}.{name})")
        return _ALLOWED[module, name]

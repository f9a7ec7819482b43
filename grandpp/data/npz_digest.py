"""The arrays of a gnn-benchmark npz file, and a digest of them that does not depend on packing."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

MATRICES = ("adj", "attr")
_PARTS = ("data", "indices", "indptr", "shape")
ARRAYS = (*(f"{matrix}_{part}" for matrix in MATRICES for part in _PARTS), "labels")

NPZ_ERRORS = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions raised when reading a file that is not such an npz file."""


def npz_arrays(content: bytes) -> dict[str, NDArray[np.generic]]:
    """Read the nine numeric arrays; arrays of Python objects, which are pickles, are not read.

    Args:
        content: Bytes of the file.

    Raises:
        ValueError: If one of the nine holds Python objects, or one of :data:`NPZ_ERRORS` if the
            file is broken or lacks one.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {name: found[name] for name in ARRAYS}


def csr_of(arrays: dict[str, NDArray[np.generic]], matrix: str) -> sp.csr_matrix:
    """The matrix ``"adj"`` or ``"attr"``, with the column indices of every row sorted.

    Args:
        arrays: Result of :func:`npz_arrays`; it is not changed.
        matrix: Which of :data:`MATRICES`.

    Raises:
        ValueError: If its parts do not fit together.
    """
    data, indices, indptr, shape = (arrays[f"{matrix}_{part}"] for part in _PARTS)
    built = sp.csr_matrix((data, indices, indptr), shape=tuple(shape.tolist()), copy=True)
    built.sort_indices()
    return built


def npz_digest(content: bytes) -> str | None:
    """SHA-256 of the nine arrays, or ``None`` for a file that does not hold them.

    For each of :data:`ARRAYS`, in this order, the name in ASCII and then the values in C order and
    little-endian are hashed, ``*_data`` as float32 and all others as int64, after sorting the
    column indices of every row. The layout of the zip file and other arrays have no influence.

    Args:
        content: Bytes of the file.
    """
    try:
        arrays = npz_arrays(content)
        for matrix in MATRICES:
            built = csr_of(arrays, matrix)
            arrays |= {f"{matrix}_data": built.data, f"{matrix}_indices": built.indices}
        digest = hashlib.sha256()
        for name in ARRAYS:
            kind = "<f4" if name.endswith("_data") else "<i8"
            digest.update(name.encode("ascii") + arrays[name].astype(kind).tobytes(order="C"))
    except NPZ_ERRORS:
        return None
    return digest.hexdigest()

"""Arrays of a shard: plain NPY files that are described, checked and memory-mapped; no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grandpp.data import DatasetError
from grandpp.distributed.edges import Array

_BLOCK = 2**20


class ShardError(DatasetError, ValueError):
    """A folder of shards is incomplete, damaged or made for another job."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def described(path: Path) -> dict[str, Any]:
    """Shape, type, size and digest of an NPY file, for :func:`open_array`."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.str,
        "bytes": path.stat().st_size,
        "sha256": file_digest(path),
    }


def open_array(path: Path, about: Mapping[str, Any], verify: bool) -> Array:
    """Memory-map an NPY file that is what its description says, copied where it is written.

    Args:
        path: The file.
        about: From :func:`described`.
        verify: Whether to compare its digest, which reads all of it.

    Raises:
        ShardError: If it is missing, or of another shape, type, size or content.
    """
    try:
        shape, dtype = tuple(int(n) for n in about["shape"]), np.dtype(str(about["dtype"]))
        size, digest = int(about["bytes"]), str(about["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(f"{path}: expected its shape, type, size and digest in JSON") from error
    try:
        found = path.stat().st_size
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ShardError(f"{path}: expected an NPY file of version 1 (got {version})")
            header = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
    except FileNotFoundError:
        raise ShardError(f"{path}: expected an array (there is none)") from None
    except (OSError, ValueError) as error:
        raise ShardError(f"{path}: expected an NPY file ({error})") from error
    wanted = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if header != (shape, False, dtype) or dtype.hasobject:
        raise ShardError(
            f"{path}: expected {dtype} {list(shape)} (got {header[2]} {list(header[0])})"
        )
    if not found == size == wanted:
        raise ShardError(f"{path}: expected {size} bytes (got {found}): it is truncated or damaged")
    if verify and file_digest(path) != digest:
        raise ShardError(f"{path}: expected other content (the digest differs): it is damaged")
    if 0 in shape:
        return np.empty(shape, dtype)
    # Copy-on-write, as torch takes no read-only array.
    return np.memmap(path, dtype, "c", offset=start, shape=shape)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON with a digest of itself."""
    path.write_text(json.dumps({**values, "digest": _own_digest(values)}, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read JSON that :func:`write_json` wrote.

    Raises:
        ShardError: If it is missing or was changed.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ShardError(
            f"{path}: expected a file of 'grandpp partition' (there is none)"
        ) from None
    except (OSError, ValueError) as error:
        raise ShardError(f"{path}: expected JSON ({error})") from error
    if not isinstance(found, dict) or found.pop("digest", None) != _own_digest(found):
        raise ShardError(f"{path}: expected JSON as 'grandpp partition' wrote it: it was changed")
    return found


def _own_digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

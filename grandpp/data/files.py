"""Find raw files, verify their digests and read them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from grandpp.data.digests import RawFile
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.npz_digest import npz_digest

REJECTED = ".rejected"
_SHA256_DIGITS = 64


def expand_home(path: str | Path) -> Path:
    """A path with ``~`` for the home of the user; ``~name`` without such a user is a name."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for ~name


def cache_folder() -> Path:
    """The package's own download folder, below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "grandpp"


def search_folders(root: str | Path | None) -> list[Path]:
    """Folders in the order of the search: ``root``, ``$GRANDPP_DATA``, the cache.

    Args:
        root: the caller's folder of data sets, in the layout of PyG; None for none.
    """
    folders = [expand_home(root)] if root is not None else []
    if os.environ.get("GRANDPP_DATA"):
        folders.append(expand_home(os.environ["GRANDPP_DATA"]))
    folders.append(cache_folder())
    return list(dict.fromkeys(folders))


def missing_files(folder: Path, files: tuple[RawFile, ...]) -> list[str]:
    """Names of ``files`` that are not in ``folder``."""
    return [file.name for file in files if not (folder / file.name).is_file()]


def read_verified(folder: Path, files: tuple[RawFile, ...]) -> Mapping[str, bytes]:
    """Read ``files`` and check their digests; returns the bytes that were checked.

    A file is the published one if its bytes have the published digest or, for npz files with a
    known digest of their arrays, if its arrays have that digest: re-packing changes only the bytes.

    A file that differs is left alone, except in the cache folder, where it is renamed to
    ``<file>.rejected`` so that the next call downloads it again.

    Args:
        folder: a folder that has all of the files.
        files: the files and their digests.

    Returns:
        The content of every file by its name.

    Raises:
        DatasetIntegrityError: a file cannot be read or is not the published one.
    """
    content = {}
    for file in files:
        path = folder / file.name
        try:
            content[file.name] = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DatasetIntegrityError(f"cannot read {path}: {reason}") from error
        difference = _difference(file, content[file.name])
        if difference:
            raise DatasetIntegrityError(f"refused {path}: {difference}; {_set_aside(path)}")
    return content


def _difference(file: RawFile, content: bytes) -> str:
    """Describe how the content differs from the published file; empty if it does not."""
    if not file.digest:
        return ""
    if len(file.digest) == _SHA256_DIGITS:
        kind, found = "SHA-256", hashlib.sha256(content).hexdigest()
    else:
        kind, found = "git blob id", git_blob_id(content)
    if found == file.digest:
        return ""
    if not file.arrays:
        return f"expected {kind} {file.digest} (got {found})"
    arrays = npz_digest(content)
    if arrays == file.arrays:
        return ""
    return (
        f"expected {kind} {file.digest} or arrays with SHA-256 {file.arrays} (got {found} and "
        f"{arrays or 'no such arrays'})"
    )


def git_blob_id(content: bytes) -> str:
    """The git blob id of a file with this content: SHA-1 of a short header and the bytes."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _set_aside(path: Path) -> str:
    """Rename a bad file if it is in the cache; return advice for the error message."""
    if cache_folder() in path.parents:
        aside = path.with_name(path.name + REJECTED)
        path.replace(aside)
        return f"it was kept as {aside.name}, run again to download a fresh copy"
    return "replace it with the published file, or remove it to have the set downloaded"

"""Bytes of a file, and which reader its name asks for."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from grandpp.data.errors import GraphFileError
from grandpp.data.files import expand_home

TABLES = (".csv", ".tsv", ".txt", ".tab", ".edges", ".edgelist", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
NETWORKS = (".graphml", ".gml")
_PICKLES = (".pkl", ".pickle", ".p", ".gpickle", ".joblib")
_COMMENT = re.compile(rb"(?m)^[ \t]*#[^\r\n]*")


def kind_of(path: Path) -> str:
    """The suffix in lower case that tells the format; that of ``edges.csv.gz`` is ``.csv``.

    Raises:
        GraphFileError: It is that of a pickle, which can run code when it is read.
    """
    inner = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = inner.suffix.lower()
    if kind in _PICKLES:
        raise GraphFileError(
            f"{path}: pickle files are not read, as they can run code; save the data as CSV, "
            "Parquet, NPY or NPZ, or a PyG Data with torch.save as .pt"
        )
    return kind


def read_content(path: Path) -> bytes:
    """Read a file, and decompress it where its name ends in ``.gz``.

    Raises:
        GraphFileError: There is no such file, it cannot be read, is no gzip file or is empty.
    """
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise GraphFileError(f"{path}: expected a file (got none of this name)") from None
    except IsADirectoryError:
        raise GraphFileError(f"{path}: expected a file (got a folder)") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise GraphFileError(f"{path}: expected a gzip file (got: {error})") from None
    except OSError as error:
        raise GraphFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content.strip():
        raise GraphFileError(f"{path}: expected data (got an empty file)")
    return content


def read_text(path: Path, *, comments: bool = True) -> bytes:
    """Read UTF-8 text without its byte order mark.

    Args:
        path: The file.
        comments: Whether lines that begin with ``#`` are made empty. (default: ``True``)

    Raises:
        GraphFileError: As :func:`read_content`, or the text is not UTF-8 (the first wrong line).
    """
    content = read_content(path).removeprefix(b"\xef\xbb\xbf")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise GraphFileError(f"{path}:1: expected text in UTF-8 (got UTF-16)")
    if not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise GraphFileError(
                f"{path}:{line}: expected text in UTF-8 (got the byte 0x{content[error.start]:02x})"
            ) from None
    zero = content.find(b"\0")
    if zero >= 0:
        line = content.count(b"\n", 0, zero) + 1
        raise GraphFileError(f"{path}:{line}: expected text in UTF-8 (got a NUL byte)")
    if b"\r" in content and b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    if comments and b"#" in content:
        content = _COMMENT.sub(b"", content)
    if not content.strip():
        raise GraphFileError(f"{path}: expected data (got nothing but comments)")
    return content


def as_path(path: str | Path) -> Path:
    """A path, with ``~`` for the user's home.

    Raises:
        GraphFileError: It is ``-``, which means standard input elsewhere.
    """
    if str(path) == "-":
        raise GraphFileError("expected the name of a file (got -, standard input is none)")
    return expand_home(path)


def unknown_kind(path: Path, expected: str) -> GraphFileError:
    """The error for a file whose name ends in nothing that is read, or that is not there.

    Args:
        path: The file.
        expected: What was expected, in words.
    """
    if not path.exists():
        return GraphFileError(f"{path}: expected a file or folder (got none of this name)")
    kind = kind_of(path)
    got = repr(kind) if kind else "a name without an ending"
    return GraphFileError(f"{path}: expected {expected} (got {got})")

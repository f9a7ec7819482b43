"""Write a file completely or not at all: own code, as the standard library has no such call."""

from __future__ import annotations

import os
from pathlib import Path


def check_target(path: Path) -> None:
    """Check that a file can be written, before the computation whose result it will hold.

    Raises:
        ValueError: If it is ``-``, which means standard output elsewhere, its folder is missing,
            or the path exists and is not a file, or is a device or an open file of a process.
        PermissionError: If its folder may not be written to.
    """
    if str(path) == "-":
        raise ValueError("expected the name of a file (got -, standard output is none)")
    if path.absolute().parts[1:2] in (("dev",), ("proc",), ("sys",)):
        raise ValueError(f"expected a file that can be replaced (got {path})")
    if not path.parent.is_dir():
        raise ValueError(f"expected an existing folder for {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"expected a file or nothing at {path}")
    folder = path.resolve().parent  # a file that a link points to is replaced there
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"expected a folder that may be written to for {path}")


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary file and rename it: after a crash the old file is intact.

    A symbolic link stays one: the file that it points to is replaced.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path = path.resolve()
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise

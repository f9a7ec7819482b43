"""Write a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before the work that it would hold.

    Raises:
        ValueError: If its folder is missing or something else than a file is there.
    """
    if not path.parent.is_dir():
        raise ValueError(f"expected an existing folder for {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"expected a file or nothing at {path}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside and put it in place in one step: a crash leaves the old one.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
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

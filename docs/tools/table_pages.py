"""Write a page of the documentation for every page of a table in ``results/``.

``docs/conf.py`` calls :func:`write_table_pages` before Sphinx reads its sources. A page includes
the one in ``results/``, so that its numbers are in one place; it stands beside the page with the
list of tables, whose links name it. Git ignores ``docs/results/table-*.md``.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_table_pages(results: Path, folder: Path) -> list[str]:
    """Write ``table-*.md`` for every page with packed records beside it.

    Args:
        results: Where ``grandpp reproduce`` has written its pages and records.
        folder: Where the pages go. Pages that would not change are left alone; those that an
            earlier call has written and that are not wanted any more are removed.

    Returns:
        The names of the pages.
    """
    start = f"```{{include}} {os.path.relpath(results, folder)}/table-"
    pages = {
        path.name: f"{start}{path.name.removeprefix('table-')}\n:relative-images:\n```\n"
        for path in sorted(results.glob("table-*.md"))
        if path.with_suffix(".jsonl.gz").exists()
    }
    for old in folder.glob("table-*.md"):
        if old.name not in pages and old.read_text().startswith(start):
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return list(pages)

"""Write a page of the documentation for every page of a table in ``results/``.

``docs/conf.py`` calls :func:`write_table_pages` before Sphinx reads its sources. A page includes
the one in ``results/``, so that its numbers are in one place.
"""

from __future__ import annotations

from pathlib import Path


def write_table_pages(results: Path, folder: Path) -> list[str]:
    """Write ``table-*.md`` into a folder two levels below the one of ``results``.

    Args:
        results: Where ``grandpp reproduce`` has written its pages.
        folder: Where the pages go. Pages that would not change are left alone, and those of tables
            that are no longer there are removed.

    Returns:
        The names of the pages.
    """
    names = sorted(path.name for path in results.glob("table-*.md"))
    for old in set(folder.glob("table-*.md")) - {folder / name for name in names}:
        old.unlink()
    for name in names:
        text = f"```{{include}} ../../{results.name}/{name}\n:relative-images:\n```\n"
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return names

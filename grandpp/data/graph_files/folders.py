"""Find the files of a graph in a folder."""

from __future__ import annotations

from pathlib import Path

from grandpp.data.errors import GraphFileError

STEMS = ("edges", "features", "labels", "nodes")


def files_of_folder(folder: Path) -> list[Path | None]:
    """Files called edges, features, labels and nodes, whatever their format; ``None`` if missing.

    Raises:
        GraphFileError: There is no file of edges, or there are two of one name.
    """
    found: dict[str, list[Path]] = {stem: [] for stem in STEMS}
    for path in sorted(folder.iterdir()):
        stem = path.name.split(".")[0].lower()
        if path.is_file() and stem in found:
            found[stem].append(path)
    for stem, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise GraphFileError(f"{folder}: expected one file of {stem} (got {names})")
    if not found["edges"]:
        raise GraphFileError(
            f"{folder}: expected a file edges.csv, or of another format (got none)"
        )
    return [paths[0] if paths else None for paths in found.values()]

"""Small raw data sets in the published formats, written by the tests."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from grandpp.data import graphs
from grandpp.data.digests import RAW_SETS, RawFile

# PyG's reader marks 500 validation nodes after the labelled ones: fewer nodes do not load.
RING, LABELLED, TESTED, WORDS, CLASSES = 560, 6, 40, 12, 3
STRAY = 2  # two more nodes, apart from the ring


@dataclass
class SmallSet:
    """A data set written by a test: where its files are, and what it should load as."""

    name: str
    raw: Path
    x: np.ndarray
    y: np.ndarray

    def register(self, monkeypatch) -> None:
        """Make the files as they are now the published ones."""
        known = RAW_SETS[self.name]
        files = tuple(
            RawFile(
                file.name,
                hashlib.sha256((self.raw / file.name).read_bytes()).hexdigest(),
            )
            for file in known.files
        )
        monkeypatch.setitem(RAW_SETS, self.name, replace(known, files=files))

    def expect(self, monkeypatch, nodes: int, edges: int) -> None:
        size = graphs.GraphSize(CLASSES, WORDS, nodes, edges)
        monkeypatch.setitem(graphs.EXPECTED_SIZES, self.name, size)


def write_benchmark(raw: Path, **replaced: np.ndarray) -> SmallSet:
    n = 6
    x, y = features(n)
    adj = sp.csr_matrix((np.ones(5), ([0, 1, 2, 3, 2], [1, 2, 3, 4, 2])), shape=(n, n))
    attr = sp.csr_matrix(3.0 * x)
    arrays = {"labels": y, "node_names": np.array(["a", None], dtype=object)}
    for name, matrix in (("adj", adj), ("attr", attr)):
        arrays[f"{name}_data"] = matrix.data
        arrays[f"{name}_indices"] = matrix.indices
        arrays[f"{name}_indptr"] = matrix.indptr
        arrays[f"{name}_shape"] = np.array(matrix.shape)
    raw.mkdir(parents=True)
    np.savez(raw / "amazon_electronics_photo.npz", **(arrays | replaced))
    return SmallSet("Photo", raw, x, y)


def zip_arxiv(raw: Path, archive: Path, top: str = "arxiv/raw/") -> None:
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("../outside.csv.gz", b"")
        content.writestr("arxiv/processed/geometric_data_processed.pt", b"not wanted")
        for file in sorted(raw.iterdir()):
            content.write(file, top + file.name)


def features(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary words (every node has at least one) and labels 0, 1, 2, 0, ..."""
    x = (np.random.default_rng(0).random((n, WORDS)) < 0.3).astype(np.float32)
    x[np.arange(n), np.arange(n) % WORDS] = 1.0
    return x, np.arange(n) % CLASSES


class Marker:
    """Unpickling this writes a file: the test sees whether foreign code ran."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def fingerprint(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder with its modification time and content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }

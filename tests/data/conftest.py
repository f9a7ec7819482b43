"""Fixtures: private folders, small raw data sets, and a loopback server to download them from."""

from __future__ import annotations

import functools
import gzip
import os
import pickle
import threading
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from small_sets import (
    CLASSES,
    LABELLED,
    RING,
    STRAY,
    TESTED,
    QuietHandler,
    SmallSet,
    features,
    write_benchmark,
)

from grandpp.data.digests import RAW_SETS


@pytest.fixture(autouse=True)
def private_folders(request, tmp_path, monkeypatch):
    """No test sees the user's cache, and only tests on real data see the user's files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.node.get_closest_marker("realdata") is None:
        monkeypatch.delenv("GRANDPP_DATA", raising=False)
    elif not (Path(os.environ.get("GRANDPP_DATA", "")) / "Cora" / "raw").is_dir():
        pytest.skip("GRANDPP_DATA does not point to Cora/raw")


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache" / "grandpp"


@pytest.fixture
def planetoid(tmp_path, monkeypatch) -> SmallSet:
    """A ring with one repeated edge, one self-loop and a separate pair, as Planetoid pickles."""
    n = RING + STRAY
    x, y = features(n)
    graph = {i: [(i - 1) % RING, (i + 1) % RING] for i in range(RING)}
    graph[0] += [1, 0]
    graph.update({RING: [RING + 1], RING + 1: [RING]})
    onehot = np.eye(CLASSES, dtype=np.int32)[y]
    known = n - TESTED
    order = np.random.default_rng(1).permutation(np.arange(known, n))
    raw = tmp_path / "data" / "Cora" / "raw"
    parts = {
        "x": sp.csr_matrix(x[:LABELLED]),
        "tx": sp.csr_matrix(x[order]),
        "allx": sp.csr_matrix(x[:known]),
        "y": onehot[:LABELLED],
        "ty": onehot[order],
        "ally": onehot[:known],
        "graph": graph,
    }
    raw.mkdir(parents=True)
    for part, value in parts.items():
        (raw / f"ind.cora.{part}").write_bytes(pickle.dumps(value, protocol=2))
    (raw / "ind.cora.test.index").write_text("".join(f"{i}\n" for i in order))
    small = SmallSet("Cora", raw, x, y)
    small.register(monkeypatch)
    small.expect(monkeypatch, RING, RING)
    return small


@pytest.fixture
def benchmark(tmp_path, monkeypatch) -> SmallSet:
    """A path of 5 nodes with one direction of every edge and a lone node, as gnn-benchmark npz."""
    small = write_benchmark(tmp_path / "data" / "Photo" / "raw")
    small.register(monkeypatch)
    small.expect(monkeypatch, 5, 4)
    return small


@pytest.fixture
def arxiv(tmp_path, monkeypatch) -> SmallSet:
    """Six nodes and six directed edges (one in both directions), as ogb's compressed tables."""
    raw = tmp_path / "data" / "ogbn_arxiv" / "raw"
    raw.mkdir(parents=True)
    x, y = features(6)
    tables = {
        "edge": "0,1\n1,0\n2,1\n3,2\n4,3\n5,4\n",
        "node-feat": "".join(",".join(str(value) for value in row) + "\n" for row in x - 0.5),
        "node-label": "".join(f"{label}\n" for label in y),
        "num-node-list": "6\n",
        "num-edge-list": "6\n",
    }
    for name, text in tables.items():
        with gzip.open(raw / f"{name}.csv.gz", "wt") as file:
            file.write(text)
    small = SmallSet("ogbn-arxiv", raw, x - 0.5, y)
    small.expect(monkeypatch, 6, 6)
    return small


@pytest.fixture
def serve():
    """Serve a folder on the loopback interface; returns its address, with a slash at the end."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def publish(monkeypatch):
    """Make a data set come from the given address."""

    def change(name: str, url: str) -> None:
        monkeypatch.setitem(RAW_SETS, name, replace(RAW_SETS[name], url=url))

    return change

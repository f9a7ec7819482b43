"""Small graphs with known answers."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from profiles import chosen_profile, chosen_seed
from torch import Tensor

# Triton's interpreter runs the kernels where there is no GPU. It is asked for before Triton is
# imported, which importing PyG does.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from torch_geometric.datasets import KarateClub
from torch_geometric.utils import to_undirected

# A shell lets its commands in the background ignore Ctrl-C, and they the commands that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes of pytest-xdist share the cores, and so do the commands that their tests start.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))


def pytest_report_header(config: pytest.Config) -> str:
    """Name what chooses the random cases of tests/fuzz, so that a failure can be repeated."""
    return f"fuzz: profile '{chosen_profile(config)}', --hypothesis-seed={chosen_seed(config)}"


@pytest.fixture
def karate() -> Tensor:
    """Edges of Zachary's karate club: 34 nodes, connected, undirected."""
    return KarateClub()[0].edge_index


@pytest.fixture
def path() -> Tensor:
    """The path 0 - 1 - 2 - 3."""
    return to_undirected(torch.tensor([[0, 1, 2], [1, 2, 3]]))


@pytest.fixture
def features() -> Tensor:
    """Random features of 34 nodes in float64."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(34, 8, generator=generator, dtype=torch.float64)

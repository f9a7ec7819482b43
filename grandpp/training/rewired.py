"""The training graph of a run: as loaded, or rewired by its settings."""

from __future__ import annotations

from collections.abc import Sequence

from torch_geometric.data import Data

from grandpp.data import rewire
from grandpp.data.edges import replace_edges
from grandpp.training.settings import Run


def rewired(run: Run, data: Data, *, progress: bool = False) -> Data:
    """Return the graph with the rewiring in the settings of a run.

    Args:
        run: The run, whose settings name the rewiring.
        data: Graph of a data set or of one of its splits; one that comes from this function is
            recognised and returned as it is.
        progress: Show a progress bar where it takes long. (default: ``False``)

    Raises:
        ValueError: See :func:`grandpp.data.rewire`; or if the graph was rewired otherwise.
    """
    kind, have = run.settings.rewiring, data.get("rewiring")
    if have == kind:
        return data
    if have is not None:
        raise ValueError(f"expected a graph with rewiring {kind!r} or none yet (got {have!r})")
    result = rewire(data, str(kind), **({"progress": progress} if kind == "gdc" else {}))
    result.rewiring = kind
    return result


def rewire_once(
    runs: Sequence[tuple[Run, Data]], *, progress: bool = False
) -> list[tuple[Run, Data]]:
    """Give every run its graph; splits that share their edges share the rewired ones as well.

    Args:
        runs: Runs with the split data of each.
        progress: Show a progress bar where it takes long. (default: ``False``)

    Raises:
        ValueError: See :func:`rewired`.
    """
    made: dict[tuple[object, ...], Data] = {}  # edges by where they come from
    whole: dict[tuple[object, ...], Data] = {}  # runs on one graph keep sharing it
    ready = []
    for run, data in runs:
        kind = run.settings.rewiring
        if kind is not None and data.get("rewiring") != kind:
            weight = data.get("edge_weight")
            key = (id(data.edge_index), id(weight), kind)  # alive as long as the runs
            if key not in made:
                made[key] = rewired(run, data, progress=progress)
            graph = (id(data), kind)
            if graph not in whole:
                edges = made[key].edge_index, made[key].get("edge_weight")
                whole[graph] = replace_edges(data, *edges)
                whole[graph].rewiring = kind
            data = whole[graph]
        ready.append((run, data))
    return ready

"""Views of a graph that runs share: made once, and never those of another graph."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import low_label_split, sbm
from grandpp.models import graph_views
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import shared_views
from grandpp.training.batch import record_batch
from grandpp.training.loop import record_run, train_run

CPU = torch.device("cpu")


@pytest.fixture
def graph():
    return sbm(300, 900, num_classes=3, num_features=64, words_per_node=8, seed=1)


@pytest.fixture
def made(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return graph_views(*arguments)

    monkeypatch.setattr(shared_views, "graph_views", counted)
    return calls


def run_on(split, **settings):
    return tuned_run("sbm", "grand++-views-l", 1, split=split, protocol="no_val", epochs=2,
                     **settings)  # fmt: skip


def test_runs_on_a_graph_make_its_views_once(graph, made):
    records = [record_run(run_on(split), graph, CPU) for split in range(3)]
    batch = record_batch([run_on(split) for split in range(2)], graph, CPU)
    assert len(made) == 1
    assert "views" not in graph
    for record, other in zip(records, batch, strict=False):
        assert record["test_accuracy"] == pytest.approx(other["test_accuracy"], abs=0.02)
    alone = train_run(run_on(1), low_label_split(graph, 1, 1, "no_val"), CPU)
    assert records[1]["test_accuracy"] == alone.test_accuracy


def test_other_tensors_in_the_same_object_have_other_views(graph, made):
    first = shared_views.views_of(graph)
    assert shared_views.views_of(graph) is first
    graph.x = graph.x.flip(0)
    assert shared_views.views_of(graph) is not first
    assert len(made) == 2


@pytest.mark.parametrize(
    ("model", "settings"),
    [("grand-l", {}), ("grand++-nl-rw", {"cluster_labels": 1.0, "clusters": "views"})],
)
def test_runs_that_do_not_take_them_make_none(graph, made, model, settings):
    run = tuned_run("sbm", model, 1, protocol="no_val", **settings)
    split = low_label_split(graph, 1, 0, "no_val")
    assert shared_views.with_views(run, split, graph) is split
    assert not made

"""Runs whose labelled nodes are chosen without labels: what is labelled, and what counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grandpp.data import sbm
from grandpp.models import suggest_nodes
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.batches import check_batches
from grandpp.training.chosen_labels import coverage_split, met_classes
from grandpp.training.loop import record_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def graph():
    data = sbm(300, 700, num_classes=4, num_features=40, words_per_node=8)
    data.name = "sbm"
    return data


def chosen_run(model="sgc", **settings):
    run = tuned_run("sbm", model, 1, protocol="no_val", split=3, **settings)
    return replace(run, labels_chosen="coverage")


def test_as_many_nodes_as_classes_are_chosen_and_no_label_is_looked_at(graph):
    split = coverage_split(chosen_run(), graph)
    wanted = suggest_nodes(graph.x, graph.edge_index, None, 4, seed=3)
    assert split.train_mask.nonzero().view(-1).tolist() == sorted(wanted.tolist())
    assert not split.val_mask.any()
    assert torch.equal(split.test_mask, ~split.train_mask)
    assert "train_mask" not in graph
    other = graph.clone()
    other.y = other.y.flip(0)
    assert torch.equal(coverage_split(chosen_run(), other).train_mask, split.train_mask)


def test_nodes_without_a_known_label_are_not_chosen_and_do_not_count(graph):
    data = graph.clone()
    data.y[coverage_split(chosen_run(), graph).train_mask] = -1
    split = coverage_split(chosen_run(), data)
    assert int(split.train_mask.sum()) == 4
    assert bool((data.y[split.train_mask | split.test_mask] >= 0).all())


def test_classes_that_are_not_met_count_as_wrong(graph):
    data = graph.clone()
    # All that is chosen has class 0 or 2; so have half of the other nodes.
    chosen = coverage_split(chosen_run(), data).train_mask
    data.y = torch.where(chosen, 2 * (torch.cumsum(chosen, 0) % 2), torch.arange(300) % 4)
    part, number = met_classes(coverage_split(chosen_run(), data))
    assert number == 2
    assert part.y[data.y == 2].eq(1).all() and part.y[data.y == 0].eq(0).all()
    assert part.y[data.y % 2 == 1].eq(-1).all()
    record = record_run(chosen_run(), data, CPU)
    assert record["classes_met"] == 2 and record["labels_chosen"] == "coverage"
    # A classifier of the two classes cannot be right at more nodes than these have.
    reachable = float((data.y % 2 == 0)[~chosen].float().mean())
    assert 0 < record["test_accuracy"] <= reachable < 0.55
    assert record["test_accuracy"] == record["last_test_accuracy"]


@pytest.mark.parametrize("model", ["grand++-views-l", "gcn", "clusters", "poisson"])
def test_every_kind_of_model_can_miss_a_class(graph, model):
    data = graph.clone()
    data.y = torch.where(coverage_split(chosen_run(), data).train_mask, 1 + data.y % 2, data.y)
    settings = {"epochs": 2} if model in ("grand++-views-l", "gcn") else {}
    record = record_run(chosen_run(model, **settings), data, CPU)
    assert record["status"] == "success"
    assert record["classes_met"] <= 2


def test_random_splits_keep_their_name_and_chosen_ones_have_another():
    run = tuned_run("sbm", "gcn", 1, protocol="no_val")
    assert "labels_chosen" in run.choices()
    assert replace(run, labels_chosen="coverage").config_hash != run.config_hash


def test_what_does_not_go_together_is_refused(graph):
    with pytest.raises(ValueError, match="expected protocol 'no_val' where the nodes"):
        replace(tuned_run("sbm", "gcn", 1), labels_chosen="coverage")
    with pytest.raises(ValueError, match="'labels_chosen' to be one of coverage"):
        replace(tuned_run("sbm", "gcn", 1, protocol="no_val"), labels_chosen="luck")
    run = replace(tuned_run("sbm", "grand-l", 1, protocol="no_val"), labels_chosen="coverage")
    with pytest.raises(ValueError, match="expected random splits for runs in batches"):
        check_batches([(run, graph)])

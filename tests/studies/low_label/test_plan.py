"""Plans: every combination once, in order, and refused before the first run."""

from __future__ import annotations

import pytest

from grandpp.data import sbm
from grandpp.studies.low_label import MODELS, ZOO, plan_runs, sort_records


@pytest.fixture(scope="module")
def graph():
    return sbm(1700, 3600, num_classes=3, num_features=64, words_per_node=8)


def test_every_combination_is_planned_once_in_the_order_of_the_tables(graph):
    runs = plan_runs([graph], ["gcn", "mlp", "gcn"], [2, 1, 2], range(5, 7), range(2), epochs=3)
    assert [(c.labels_per_class, c.split, c.seed, c.model) for c, _ in runs] == [
        (k, split, seed, model)
        for k in (2, 1)
        for split in (5, 6)
        for seed in (0, 1)
        for model in ("gcn", "mlp")
    ]
    assert {c.settings.epochs for c, _ in runs} == {3}
    assert all(data is graph for _, data in runs)
    assert "train_mask" not in graph


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels_per_class": [1, 800]}, "class 0 has"),
        ({"models": ["gcn", "grand-nl"], "solver": "exact"}, "linear"),
        ({"patience": 0}, "'patience' to be positive"),
        ({"patience": 3, "protocol": "no_val"}, "validation nodes for patience=3"),
        (
            {"models": ["gcn", "grand-l"], "best_time": True, "protocol": "no_val"},
            "validation nodes for best_time=True",
        ),
        ({"models": ["grand-l"], "best_time": True, "time": 0.0}, "'time' to be positive"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(graph, arguments, words):
    plan = {"models": ["gcn"], "labels_per_class": [1], "splits": range(2), **arguments}
    with pytest.raises(ValueError, match=words):
        plan_runs([graph], **plan)


def test_records_are_brought_into_the_order_of_the_plan(graph):
    runs = plan_runs([graph], ["gcn"], [1], range(3))
    fields = ("dataset", "labels_per_class", "protocol", "model", "split", "seed", "config_hash")
    records = [{name: getattr(c, name) for name in fields} for c, _ in runs]
    shuffled = [records[2], records[0], records[1]]
    sort_records(shuffled, runs)
    assert shuffled == records


def test_a_plan_builds_no_model_and_draws_no_split(graph, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("expected nothing to be built or drawn")

    monkeypatch.setattr("grandpp.data.splits._with_masks", refuse)
    for variant in ZOO.values():
        monkeypatch.setattr(variant.settings, "build", refuse)
    assert len(plan_runs([graph], MODELS, [1], range(2))) == 2 * len(MODELS)

"""A new model: one module, one settings dataclass, one entry in the zoo."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from grandpp.data import sbm
from grandpp.models.base import PlainClassifier
from grandpp.models.encoder import FeatureEncoder
from grandpp.studies.low_label import ZOO, accuracy_table, plan_runs, tuned_run
from grandpp.studies.low_label.zoo import Variant
from grandpp.training import read_records, record_key, run_sweep
from grandpp.training.settings import TrainedSettings, check_positive, constant

CPU = torch.device("cpu")


class Toy(PlainClassifier):
    """What stands in a module of models."""

    def __init__(self, in_channels, out_channels, width, slope):
        super().__init__()
        self.encoder = FeatureEncoder(in_channels, width)
        self.decoder = nn.Sequential(nn.LeakyReLU(slope), nn.Linear(width, out_channels))

    def logits(self, x, edge_index, edge_weight=None):
        return self.decoder(self.encoder(x))


@dataclass(frozen=True, kw_only=True)
class ToySettings(TrainedSettings):
    """What stands in a module of settings."""

    slope: float = constant()
    width: int = 4
    epochs: int = 2

    def __post_init__(self):
        check_positive(self, "width")
        super().__post_init__()

    def build(self, in_channels, out_channels):
        return Toy(in_channels, out_channels, self.width, self.slope)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(ZOO, "toy", Variant(ToySettings, slope=0.5))


@pytest.fixture(scope="module")
def graph():
    return sbm(1700, 3600, num_classes=3, num_features=64, words_per_node=8)


def test_it_is_planned_trained_recorded_and_resumed(graph, tmp_path):
    out, records = tmp_path / "runs.jsonl", []
    runs = plan_runs([graph], ["toy", "gcn"], [1], range(2), width=3, epochs=2)
    run_sweep(runs, CPU, records.append, out=out, progress=False)
    assert [record_key(r) for r in records] == [run.key for run, _ in runs]
    own = [r for r in records if r["model"] == "toy"]
    assert all(r["status"] == "success" and r["epochs"] == 2 for r in own)
    assert own[0]["config"] == {
        "dataset": graph.name, "model": "toy", "labels_per_class": 1, "protocol": "grand",
        "split": 0, "seed": 0, "epochs": 2, "optimizer": "Adam", "lr": 0.01,
        "weight_decay": 0.0005, "input_dropout": 0.5, "patience": None, "features": None,
        "cluster_labels": None, "clusters": None, "cluster_pool": None, "width": 3,
        "labels_chosen": None,
    }  # fmt: skip
    again = []
    run_sweep(runs, CPU, again.append, out=out, progress=False)
    assert again == records == read_records(out)
    assert "toy" in accuracy_table(records, "gcn")


def test_its_settings_are_checked_and_its_constant_cannot_be_chosen(graph):
    with pytest.raises(ValueError, match="'width' to be positive"):
        plan_runs([graph], ["toy"], [1], range(1), width=0)
    with pytest.raises(TypeError, match="slope"):
        tuned_run("Cora", "toy", 1, slope=0.1)
    assert tuned_run("Cora", "gcn", 1, width=3) == tuned_run("Cora", "gcn", 1)

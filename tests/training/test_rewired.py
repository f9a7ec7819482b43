"""Runs on rewired graphs."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import low_label_splits, rewire, sbm
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import rewired as module
from grandpp.training import run_sweep, train_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits():
    data = sbm(150, 320, num_classes=3, num_features=32, words_per_node=6)
    return list(low_label_splits(data, 2, range(2), "no_val"))


def config(model: str = "grand-nl-rw", **options):
    return tuned_run("sbm", model, 2, protocol="no_val", epochs=2, time=1.0, **options)


def test_models_on_rewired_graphs_are_nonlinear_with_the_settings_of_their_family():
    for model, plain in (("grand-nl-rw", "grand-nl"), ("grand++-nl-rw", "grand++-nl")):
        made, other = tuned_run("Cora", model, 1), tuned_run("Cora", plain, 1)
        assert (made.settings.rewiring, other.settings.rewiring) == ("gdc", None)
        assert made.config_hash != other.config_hash
        assert made.settings.choices() == other.settings.choices() | {"rewiring": "gdc"}
        assert made.settings.build(4, 2).conv.mode == "nonlinear"
    assert tuned_run("Cora", "grand-nl-rw", 1, rewiring="two_hop").settings.rewiring == "two_hop"
    assert tuned_run("Cora", "grand-l", 1, rewiring="two_hop").settings.rewiring is None


def test_a_data_set_is_rewired_once_for_all_splits_and_models(splits, monkeypatch):
    calls = []

    def counted(data, kind, **options):
        calls.append(kind)
        return rewire(data, kind, **options)

    monkeypatch.setattr(module, "rewire", counted)
    models = (config(), config("grand++-nl-rw"), config(rewiring="two_hop"), config("grand-nl"))
    runs = [(c.on(s, 0), data) for s, data in enumerate(splits) for c in models]
    ready = module.rewire_once(runs)
    assert sorted(calls) == ["gdc", "two_hop"]
    assert [c for c, _ in ready] == [c for c, _ in runs]
    assert ready[0][1].edge_index is ready[1][1].edge_index is ready[5][1].edge_index
    for (run, made), (_, data) in zip(ready, runs, strict=True):
        assert torch.equal(made.train_mask, data.train_mask)
        assert made.get("rewiring") == run.settings.rewiring
        assert torch.equal(made.edge_index, rewire(data, run.settings.rewiring).edge_index
                           if run.settings.rewiring else data.edge_index)  # fmt: skip
    assert len(calls) == 2
    module.rewire_once(ready)
    assert len(calls) == 2


def test_a_sweep_and_a_single_run_train_on_the_same_graph(splits):
    records = []
    run_sweep([(config(), splits[0])], CPU, records.append, progress=False)
    alone = train_run(config(), splits[0], CPU)
    assert records[0]["status"] == "success"
    assert records[0]["config"]["rewiring"] == "gdc"
    assert (alone.test_accuracy, alone.energy) == (
        records[0]["test_accuracy"],
        records[0]["energy"],
    )
    plain = train_run(config("grand-nl"), splits[0], CPU)
    assert plain.energy != alone.energy


def test_a_graph_that_was_rewired_otherwise_is_refused(splits):
    made = module.rewired(config(rewiring="two_hop"), splits[0])
    assert module.rewired(config(rewiring="two_hop"), made) is made
    with pytest.raises(ValueError, match="rewiring 'gdc' or none yet"):
        module.rewired(config(), made)
    with pytest.raises(ValueError, match="'rewiring' to be one of"):
        config(rewiring="three_hop")

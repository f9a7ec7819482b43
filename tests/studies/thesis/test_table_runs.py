"""The runs of a table."""

from __future__ import annotations

import pytest

from grandpp.data import load_dataset
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.studies.thesis import LAYOUTS, TableRequest, with_graphs
from grandpp.studies.thesis.printed import ModelVariant

FEW, DEPTH = LAYOUTS["4.3"], LAYOUTS["4.1"]


def test_table_43_is_what_node_classify_would_run():
    request = TableRequest(FEW, ["Cora", "CiteSeer"], FEW.choose())
    configs = request.runs()
    assert len({c.key for c in configs}) == len(configs) == 2 * 5 * 5 * 100
    assert configs[0] == tuned_run("Cora", "grand-l", 1)
    # A sweep cut short after n splits has n splits of every cell.
    assert {c.split for c in configs[:50]} == {0}
    assert {c.split for c in configs[50:100]} == {1}


def test_table_41_varies_time_or_layers():
    request = TableRequest(DEPTH, ["PubMed"], DEPTH.choose(["grand-l", "gcn"]), splits=1, seeds=2)
    configs = [c for c in request.runs() if c.seed == 1]
    assert {c.labels_per_class for c in configs} == {20}
    times = [c.settings.time for c in configs if c.model == "grand-l"]
    assert times == [1, 4, 16, 32, 64, 128, 256]
    assert [c.settings.layers for c in configs if c.model == "gcn"] == [1, 4, 16, 32]


def test_the_axis_of_the_table_is_chosen_and_no_other():
    chosen = TableRequest(DEPTH, ["sbm"], [ModelVariant("grand-l")], depths=[2.5], splits=1).runs()
    assert [c.settings.time for c in chosen] == [2.5]
    with pytest.raises(ValueError, match=r"no choice of labels.*--labels"):
        TableRequest(DEPTH, ["sbm"], [ModelVariant("gcn")], labels=[1])
    with pytest.raises(ValueError, match=r"no choice of depths.*--depths"):
        TableRequest(FEW, ["sbm"], [ModelVariant("gcn")], depths=[1.0])
    with pytest.raises(ValueError, match="whole number of layers"):
        TableRequest(DEPTH, ["sbm"], [ModelVariant("gcn")], depths=[1.5]).runs()


def test_all_runs_share_one_graph_and_impossible_ones_fail_at_once():
    data = load_dataset("sbm")
    configs = TableRequest(FEW, ["sbm"], FEW.choose(["gcn", "mlp"]), labels=[1, 2], splits=2).runs()
    runs = with_graphs(configs, {"sbm": data})
    assert [config for config, _ in runs] == configs
    assert all(graph is data for _, graph in runs)
    too_many = TableRequest(FEW, ["sbm"], FEW.choose(["gcn"]), labels=[1, 2000], splits=1).runs()
    with pytest.raises(ValueError, match="needs 2000"):
        with_graphs(too_many, {"sbm": data})
    with pytest.raises(ValueError, match="heads"):
        tuned_run("sbm", "gat", 1, heads=7)

"""The commands label, predict and suggest: three files in, predictions out."""

import json

import numpy as np
import pandas as pd
import pytest

from grandpp.estimator import NodeClassifier, label, predict, suggest
from grandpp.estimator.figures import draw_map
from grandpp.estimator.report import label_homophily
from grandpp.training.command import run_command
from grandpp.training.loop import TrainingRun


@pytest.fixture
def files(tmp_path, data):
    """Edges, features and labels with ids in words."""
    ids = [f"n{i:02d}" for i in range(60)]
    once = data.edge_index[:, data.edge_index[0] < data.edge_index[1]].numpy()
    edges = pd.DataFrame({"source": once[0], "target": once[1]}).map(lambda i: ids[i])
    edges.to_csv(tmp_path / "edges.csv", index=False)
    features = pd.DataFrame(data.x.numpy(), columns=[f"f{k}" for k in range(12)])
    features.insert(0, "node", ids)
    features.to_csv(tmp_path / "features.csv", index=False)
    known = np.flatnonzero(data.y.numpy() >= 0)
    labels = {"node": [ids[i] for i in known], "label": [f"c{data.y[i]}" for i in known]}
    pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def run(module, files, *argv, labels=True):
    given = ["--edges", files / "edges.csv", "--features", files / "features.csv"]
    if labels:
        given += ["--labels", files / "labels.csv"]
    return run_command(module.COMMAND, [str(word) for word in (*given, "--quiet", *argv)])


def test_three_files_give_a_row_per_node(files, data, capsys):
    out = files / "out.csv"
    assert run(label, files, "--out", out, "--epochs", 15) == 0
    table = pd.read_csv(out)
    assert list(table) == [
        "node", "label", "confidence", "given", "component_labelled", "p(c0)", "p(c1)", "p(c2)"
    ]  # fmt: skip
    assert table["node"].tolist() == [f"n{i:02d}" for i in range(60)]
    truth = np.array([f"c{c}" for c in data.truth])
    assert (table["label"] == truth).mean() > 0.9
    np.testing.assert_allclose(table[["p(c0)", "p(c1)", "p(c2)"]].sum(axis=1), 1, atol=1e-5)
    given = table[table["given"] == 1]
    assert (
        given["node"].tolist() == pd.read_csv(files / "labels.csv")["node"].sort_values().tolist()
    )
    assert (given["confidence"] == 1).all()
    text = capsys.readouterr().out
    assert "60 nodes" in text and "grand++-views-l" in text and "out.csv" in text


def test_a_saved_model_predicts_the_same(files, capsys):
    first, second, model = files / "a.csv", files / "b.csv", files / "model.pt"
    assert run(label, files, "--out", first, "--save", model, "--epochs", 3) == 0
    assert run(predict, files, "--model", model, "--out", second) == 0
    pd.testing.assert_frame_equal(pd.read_csv(first), pd.read_csv(second))


def test_features_of_a_saved_model_are_found_in_any_order(files):
    first, second, model = files / "a.csv", files / "b.csv", files / "model.pt"
    assert run(label, files, "--out", first, "--save", model, "--epochs", 3) == 0
    table = pd.read_csv(files / "features.csv")
    table[["node", *reversed(list(table)[1:])]].to_csv(files / "features.csv", index=False)
    assert run(predict, files, "--model", model, "--out", second) == 0
    pd.testing.assert_frame_equal(pd.read_csv(first), pd.read_csv(second))


def test_evaluation_is_reported_and_drawn(files, capsys):
    pictures = files / "map.png", files / "reliability.png"
    code = run(
        label, files, "--evaluate", 0.5, "--plot", pictures[0], "--plot-reliability", pictures[1],
        "--epochs", 10, "--json",
    )  # fmt: skip
    assert code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["held_out"]["nodes"] == 3
    assert set(report["held_out"]) >= {"accuracy", "macro_f1", "log_loss", "calibration_error"}
    assert report["labelled"] == {"c0": 2, "c1": 2, "c2": 2}
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_evaluation_adjusts_as_the_predictions_do(files, capsys, monkeypatch):
    """Also where fewer labels than adjusting begins at are left to train on."""
    labels = [f"n{i:02d},c{i // 20}" for i in range(60)]
    (files / "labels.csv").write_text("\n".join(["node,label", *labels]) + "\n")
    fitted = []
    fit = NodeClassifier.fit

    def followed(self, *arguments, **options):
        fitted.append(fit(self, *arguments, **options))
        return fitted[-1]

    monkeypatch.setattr(NodeClassifier, "fit", followed)
    options = ("--evaluate", 0.5, "--epochs", 2, "--no-calibration", "--json")
    for more, adjusts in (((), True), (("--no-estimate-shares",), False)):
        fitted.clear()
        assert run(label, files, *options, *more) == 0
        assert [bool(c.run_.settings.estimate_shares) for c in fitted] == [adjusts] * 2
        assert json.loads(capsys.readouterr().out)["estimate_shares"] is adjusts


def test_clusters_are_pooled_as_asked_and_told(files, capsys, monkeypatch):
    fitted = []
    fit = NodeClassifier.fit

    def followed(self, *arguments, **options):
        fitted.append(fit(self, *arguments, **options))
        return fitted[-1]

    monkeypatch.setattr(NodeClassifier, "fit", followed)
    options = ("--epochs", 2, "--cluster-pool", 0.5)
    assert run(label, files, *options, "--evaluate", 0.5, "--json") == 0
    assert [c.run_.settings.cluster_pool for c in fitted] == [0.5] * 2
    assert json.loads(capsys.readouterr().out)["cluster_pool"] == 0.5
    assert run(label, files, *options) == 0
    assert "clusters count 0.5 times" in capsys.readouterr().out
    for more, words in (
        (("--cluster-pool", -1), "not negative"),
        (("--model", "gcn", "--cluster-pool", 1), "clusters of the views"),
    ):
        assert run(label, files, "--epochs", 2, *more) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_homophily_counts_edges_between_labelled_nodes(data):
    codes = np.full(60, -1)
    assert label_homophily(data, codes) == (None, 0)
    source, target = data.edge_index.numpy()
    codes[source[0]], codes[target[0]] = 0, 0
    assert label_homophily(data, codes) == (1.0, 1)  # both directions, and repeats, are one edge


def test_nodes_are_suggested_before_any_label(files, capsys):
    assert run(suggest, files, "--number", 3, "--out", files / "s.csv", labels=False) == 0
    table = pd.read_csv(files / "s.csv")
    assert list(table) == ["rank", "node"]
    assert table["node"].nunique() == 3


def test_nodes_are_suggested_beside_labels(files, capsys):
    assert run(suggest, files, "--number", 4, "--epochs", 5, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["suggestions"]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    labelled = set(pd.read_csv(files / "labels.csv")["node"])
    assert not labelled & {row["node"] for row in rows}
    assert all(0 < row["confidence"] <= 1 for row in rows)


def spoil(files, kind):
    """Make one input wrong; return the arguments that come with it and what the error says."""
    if kind == "one class":
        text = (files / "labels.csv").read_text()
        (files / "labels.csv").write_text(text.replace("c1", "c0").replace("c2", "c0"))
        return [], "at least two classes"
    if kind == "no labels":
        (files / "labels.csv").write_text("node,label\n")
        return [], "labels.csv"
    if kind == "folder":
        return ["--out", files / "nowhere" / "out.csv"], "nowhere"
    if kind == "picture":
        return ["--plot", files / "map.xyz"], "map.xyz"
    if kind == "same file":
        return ["--out", files / "a", "--save", files / "a"], "different files"
    if kind == "reliability":
        return ["--plot-reliability", files / "r.png"], "--evaluate"
    if kind == "suggestions":
        return ["--number", 60], "60"
    if kind == "model":
        (files / "model.pt").write_text("no model")
        return ["--model", files / "model.pt"], "model.pt"
    raise ValueError(kind)


@pytest.mark.parametrize(
    "kind",
    ["one class", "no labels", "folder", "picture", "same file", "reliability",
     "suggestions", "model"],
)  # fmt: skip
def test_wrong_input_is_refused_in_one_line_and_leaves_no_file(files, kind, capsys):
    argv, words = spoil(files, kind)
    module = {"suggestions": suggest, "model": predict}.get(kind, label)
    if "--out" not in argv:
        argv = [*argv, "--out", files / "out.csv"]
    assert run(module, files, *argv) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and words in err[0]
    assert {p.name for p in files.iterdir()} <= {
        "edges.csv", "features.csv", "labels.csv", "model.pt"
    }  # fmt: skip


def test_too_little_memory_is_one_line_and_leaves_no_file(files, monkeypatch, capsys):
    def fails(*args, **kwargs):
        raise RuntimeError("[alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(TrainingRun, "train_epoch", fails)
    assert run(label, files, "--out", files / "out.csv") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "memory did not suffice (can't allocate memory)" in error
    assert not (files / "out.csv").exists()


def test_an_interrupt_leaves_no_file(files, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("grandpp.estimator.classifier.train_model", interrupt)
    assert run(label, files, "--out", files / "out.csv") == 130
    assert not (files / "out.csv").exists()


@pytest.fixture
def apart(files):
    """Two nodes more that no edge joins with the others, and one alone; features tell a class."""
    with (files / "edges.csv").open("a") as file:
        file.write("lone1,lone2\n")
    with (files / "features.csv").open("a") as file:
        for name, own in (("lone1", 0), ("lone2", 0), ("alone", 2)):
            file.write(",".join([name, *(f"{3.0 * (k == own)}" for k in range(12))]) + "\n")
    return files


def test_components_without_a_label_are_predicted_from_features_and_flagged(apart, capsys):
    out, again, model = apart / "out.csv", apart / "again.csv", apart / "model.pt"
    assert run(label, apart, "--out", out, "--save", model, "--epochs", 15, "--json") == 0
    table = pd.read_csv(out).set_index("node")
    assert sorted(table.index[table["component_labelled"] == 0]) == ["alone", "lone1", "lone2"]
    assert table.loc[["lone1", "lone2", "alone"], "label"].tolist() == ["c0", "c0", "c2"]
    printed = capsys.readouterr()
    assert "2 components without a label (3 nodes)" in printed.err
    report = json.loads(printed.out)
    assert report["graph"]["unlabelled_component_nodes"] == 3
    assert run(predict, apart, "--model", model, "--out", again) == 0
    pd.testing.assert_frame_equal(pd.read_csv(again).set_index("node"), table)
    assert run(predict, apart, "--model", model, "--out", again, labels=False) == 0
    assert not pd.read_csv(again)["component_labelled"].any()


def test_names_of_classes_that_are_columns_do_no_harm(files):
    text = (files / "labels.csv").read_text()
    for k, name in enumerate(("node", "label", "p(node)")):
        text = text.replace(f",c{k}", f",{name}")
    (files / "labels.csv").write_text(text)
    assert run(label, files, "--out", files / "out.csv", "--epochs", 3) == 0
    table = pd.read_csv(files / "out.csv")
    assert list(table)[5:] == ["p(label)", "p(node)", "p(p(node))"]
    assert set(table["label"]) == {"node", "label", "p(node)"}


@pytest.mark.parametrize("kind", ["label", "predict", "suggest"])
def test_json_is_one_object_with_everything(files, kind, capsys):
    argv = ["--epochs", 2, "--save", files / "model.pt"]
    assert run(label, files, "--out", files / "out.csv", *argv) == 0
    capsys.readouterr()
    module, argv = {
        "label": (label, ["--epochs", 2]),
        "predict": (predict, ["--model", files / "model.pt"]),
        "suggest": (suggest, ["--epochs", 2]),
    }[kind]
    assert run(module, files, "--out", files / "out.csv", *argv, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["graph"]["num_nodes"] == 60 and report["graph"]["num_labelled"] == 6
    assert report["written"] == [str(files / "out.csv")]


@pytest.mark.parametrize("stage", ["savefig", "replace"])
def test_an_interrupt_while_writing_leaves_no_half_file(files, stage, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    where = {"savefig": "matplotlib.figure.Figure.savefig", "replace": "pathlib.Path.replace"}
    monkeypatch.setattr(where[stage], interrupt)
    argv = ["--out", files / "out.csv", "--plot", files / "map.png", "--epochs", 2]
    assert run(label, files, *argv) == 130
    assert {p.name for p in files.iterdir()} == {"edges.csv", "features.csv", "labels.csv"}


def test_a_model_of_the_structure_of_its_graph_labels_no_other(files, capsys):
    edges, labels = ["--edges", files / "edges.csv"], ["--labels", files / "labels.csv"]
    argv = [*edges, *labels, "--quiet", "--epochs", 2, "--save", files / "model.pt"]
    assert run_command(label.COMMAND, list(map(str, argv))) == 0
    argv = [*edges, "--quiet", "--model", files / "model.pt", "--out", files / "out.csv"]
    assert run_command(predict.COMMAND, list(map(str, argv))) == 2
    assert "spectral embedding" in capsys.readouterr().err


def test_labels_that_a_model_does_not_know_are_refused(files, capsys):
    assert run(label, files, "--save", files / "model.pt", "--epochs", 2) == 0
    table = pd.read_csv(files / "labels.csv")
    table.loc[0, "label"] = "zebra"
    table.to_csv(files / "labels.csv", index=False)
    capsys.readouterr()
    assert run(predict, files, "--model", files / "model.pt", "--out", files / "out.csv") == 2
    assert "zebra" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["label_propagation", "poisson", "view-clusters"])
def test_models_of_labels_alone_suggest_too(files, model):
    assert run(suggest, files, "--number", 2, "--model", model) == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("--evaluate", "2"), ("--validation", "0"), ("--seed", "-1"), ("--device", "tpu")],
)
def test_values_out_of_range_are_refused_before_files_are_read(tmp_path, option, value, capsys):
    argv = ["--edges", str(tmp_path / "missing.csv"), option, value]
    with pytest.raises(SystemExit) as stop:
        run_command(label.COMMAND, argv)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and value in err and "missing.csv" not in err


def test_a_header_can_be_told(files):
    text = (files / "labels.csv").read_text()
    (files / "labels.csv").write_text(text.replace("node,label", "person,team"))
    assert run(label, files, "--epochs", 2, "--header", "--out", files / "out.csv") == 0
    table = pd.read_csv(files / "out.csv")
    assert "person" not in set(table["node"]) and "p(team)" not in table


def test_names_of_classes_in_any_script_draw_without_a_warning(data, recwarn):
    draw_map(
        data, data.truth.numpy(), ["数学", "физика", "علم"], np.full(60, 0.5), data.y.numpy() >= 0,
        ".png",
    )  # fmt: skip
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_a_legend_names_the_largest_classes(make_graph, recwarn, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "grandpp.estimator.figures._drawn", lambda figure, ending: figures.append(figure)
    )
    data = make_graph()
    names, label = [f"c{k}" for k in range(500)], np.arange(60)
    label[:30] = 400
    draw_map(data, label, names, np.full(60, 0.5), data.y.numpy() >= 0, ".png")
    texts = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert texts[-2:] == ["and 480 smaller classes", "label given"]
    assert len(texts) == 22 and "c400" in texts
    draw_map(data, label % 3, names[:3], np.full(60, 0.5), data.y.numpy() >= 0, ".png")
    texts = [text.get_text() for text in figures[1].axes[0].get_legend().get_texts()]
    assert texts == ["c0", "c1", "c2", "label given"]


def test_a_map_takes_every_seed(files):
    """scikit-learn's seeds end at 2**32: a later one must not lose the trained model."""
    options = ["--plot", files / "map.png", "--epochs", 1, "--model", "mlp", "--no-calibration"]
    assert run(label, files, "--seed", 2**32, *options) == 0
    assert (files / "map.png").stat().st_size > 1000

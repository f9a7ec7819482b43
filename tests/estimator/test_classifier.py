"""The classifier from labels to predictions, and back from a file."""

import json
import pickle

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch_geometric.data import Data

from grandpp.estimator import NodeClassifier
from grandpp.models import cluster_labels, share_correction


@pytest.fixture(scope="module")
def fitted(make_graph):
    data = make_graph()
    return data, NodeClassifier(epochs=15, seed=1).fit(data)


def test_nodes_of_clear_classes_are_labelled(fitted):
    data, clf = fitted
    assert clf.classes_.tolist() == [0, 1, 2]
    proba = clf.predict_proba()
    assert proba.shape == (60, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert clf.score(data.truth) > 0.9
    np.testing.assert_array_equal(clf.confidence(), proba.max(axis=1))


def test_given_labels_are_kept(data):
    known = (data.y >= 0).nonzero().view(-1)
    data.y[known[0]] = (data.y[known[0]] + 1) % 3  # a label that features and edges contradict
    clf = NodeClassifier(epochs=15).fit(data)
    assert torch.equal(torch.from_numpy(clf.predict())[known], data.y[known])
    assert (clf.confidence()[known] == 1).all()


@pytest.mark.parametrize(
    ("labels", "validation", "epochs"),
    [([4, 4, 4], None, 30), ([12, 12, 12], None, 60), ([12, 12, 12], 0.5, 30),
     ([2, 2, 14], 0.9, 30), ([8, 8, 14], None, 50)],
)  # fmt: skip
def test_labels_that_are_trained_on_set_the_epochs(data, labels, validation, epochs):
    data.y = data.truth.clone()
    for k, number in enumerate(labels):
        data.y[(data.truth == k).nonzero().view(-1)[number:]] = -1
    clf = NodeClassifier(validation=validation, patience=1 if validation else None)
    assert clf.fit(data).run_.settings.epochs == epochs


def test_labels_that_are_not_given_do_not_matter(data):
    data.train_mask = data.y >= 0
    first = NodeClassifier(epochs=5).fit(data).predict_proba()
    data.y = torch.where(data.train_mask, data.y, data.truth)
    np.testing.assert_array_equal(first, NodeClassifier(epochs=5).fit(data).predict_proba())


def test_names_of_classes(make_graph):
    data = make_graph(names=["ape", "bee", "cat"])
    by_graph = NodeClassifier(epochs=5).fit(data)
    assert by_graph.classes_.tolist() == ["ape", "bee", "cat"]
    names = [None if c < 0 else data.class_names[c] for c in data.y.tolist()]
    by_argument = NodeClassifier(epochs=5).fit(data, names)
    assert by_argument.predict().tolist() == by_graph.predict().tolist()
    right = np.array(data.class_names, dtype=object)[data.truth]
    assert by_graph.score(right) == by_graph.score([data.class_names[c] for c in data.truth])


def test_classes_need_not_be_numbered_without_gaps(data):
    y = torch.where(data.y >= 0, 10 * data.y + 3, -1)
    clf = NodeClassifier(epochs=5).fit(data, y)
    assert clf.classes_.tolist() == [3, 13, 23]
    plain = NodeClassifier(epochs=5).fit(data)
    np.testing.assert_array_equal(clf.predict_proba(), plain.predict_proba())


def test_the_same_seed_gives_the_same_bits_and_another_one_others(data):
    first, again, other = (NodeClassifier(epochs=5, seed=s).fit(data) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.predict_proba(), again.predict_proba())
    assert (first.predict_proba() != other.predict_proba()).any()


def test_an_ensemble_is_the_mean_of_its_members(data):
    options = {"epochs": 5, "calibration": "none"}
    both = NodeClassifier(ensemble=2, seed=3, **options).fit(data).predict_proba()
    each = [NodeClassifier(seed=s, **options).fit(data).predict_proba() for s in (3, 4)]
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, atol=1e-12)


@pytest.mark.parametrize("validation", [0.5, "mask"])
def test_validation_nodes_choose_the_epoch_and_do_not_train(data, validation):
    if validation == "mask":
        validation = torch.zeros(60, dtype=torch.bool)
        validation[[int((data.y == c).nonzero()[0]) for c in range(3)]] = True
    clf = NodeClassifier(epochs=10, patience=5, validation=validation).fit(data)
    assert int(clf._data.val_mask.sum()) == 3
    assert int(clf._data.train_mask.sum()) == 3
    assert clf.score(data.truth) > 0.6


def test_calibration_is_told_and_does_not_change_the_classes(data):
    data.y = torch.where(torch.arange(60) % 4 == 0, data.truth, data.y)
    plain = NodeClassifier(epochs=10, calibration="none").fit(data)
    clf = NodeClassifier(epochs=10).fit(data)
    assert (clf.calibrated_, plain.calibrated_, plain.temperature_) == (True, False, 1.0)
    assert clf.temperature_ != 1.0
    np.testing.assert_array_equal(clf.predict(), plain.predict())


def test_one_label_per_class_leaves_nothing_to_calibrate_on(data):
    for c in range(3):
        data.y[(data.y == c).nonzero()[0]] = -1
    assert not NodeClassifier(epochs=2).fit(data).calibrated_


@pytest.mark.parametrize("model", ["auto", "grand-nl", "gcn", "poisson", "clusters"])
def test_files_give_the_same_bits(data, model, tmp_path, make_graph):
    clf = NodeClassifier(model, epochs=2, ensemble=2, calibration="none").fit(data)
    clf.save(tmp_path / "model.pt")
    loaded = NodeClassifier.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict_proba(), clf.predict_proba())
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert loaded.get_params() == clf.get_params()
    if model in ("poisson", "clusters"):
        with pytest.raises(ValueError, match=f"classify another graph .got {model}"):
            loaded.predict_proba(make_graph(seed=1))
        return
    other = make_graph(seed=1)
    np.testing.assert_array_equal(loaded.predict_proba(other), clf.predict_proba(other))
    # The same graph as another one: the network's own opinion, also where a label is given.
    unseen = data.y.numpy() < 0
    np.testing.assert_array_equal(clf.predict_proba(data)[unseen], clf.predict_proba()[unseen])


def label_some(data, numbers):
    """Give each class a number of labels."""
    data.y = torch.full_like(data.truth, -1)
    for c, number in enumerate(numbers):
        data.y[(data.truth == c).nonzero().view(-1)[:number]] = c
    return data


@pytest.mark.parametrize("known", [2, 20])
def test_files_from_before_a_setting_predict_as_they_did(make_graph, tmp_path, known):
    data, other = label_some(make_graph(per_class=40), [known] * 3), make_graph(seed=1)
    model = NodeClassifier(epochs=2, calibration="none", estimate_shares=False).fit(data)
    model.save(tmp_path / "model.pt")
    # As a version without the setting wrote it: without its name and what the models have of it.
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    told = json.loads(content["json"])
    del told["settings"]["estimate_shares"], told["parameters"]["estimate_shares"]
    del content["corrections"]
    torch.save(content | {"json": json.dumps(told)}, tmp_path / "model.pt")
    for _ in range(2):  # and once more from a file that is written today
        loaded = NodeClassifier.load(tmp_path / "model.pt")
        assert loaded.run_.settings.estimate_shares is None
        np.testing.assert_array_equal(loaded.predict_proba(other), model.predict_proba(other))
        loaded.save(tmp_path / "model.pt")


def test_files_keep_the_shares_of_the_classes(make_graph, tmp_path):
    data = label_some(make_graph(per_class=40), [30, 25, 20])
    model = NodeClassifier(epochs=2, ensemble=2, calibration="none").fit(data)
    assert model.models_[0].trained_shares.std() > 0.01
    model.save(tmp_path / "model.pt")
    loaded, other = NodeClassifier.load(tmp_path / "model.pt"), make_graph(seed=1)
    np.testing.assert_array_equal(loaded.predict_proba(other), model.predict_proba(other))


def test_a_model_that_cannot_adjust_is_refused(data):
    with pytest.raises(ValueError, match=r"adjusts its probabilities .*got gcn, which does not"):
        NodeClassifier("gcn", estimate_shares=True).fit(data)
    plain = NodeClassifier("gcn", epochs=1, estimate_shares=False).fit(data)
    assert not plain.corrections_[0].any()


@pytest.mark.parametrize("kept", [slice(0), slice(0, 1)])
def test_a_file_with_corrections_of_other_classes_is_refused(data, tmp_path, kept):
    path = tmp_path / "model.pt"
    NodeClassifier(epochs=1, calibration="none").fit(data).save(path)
    content = torch.load(path, weights_only=True)
    content["corrections"] = [c[kept] for c in content["corrections"]]
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"expected a model that NodeClassifier\.save wrote"):
        NodeClassifier.load(path)


def uneven(make_graph):
    """A graph with 60, 30 and 30 nodes of three classes, and 20 labels of each."""
    data = make_graph(per_class=30, classes=4, features=12)
    data.truth = torch.tensor([0, 0, 1, 2])[data.truth]
    return label_some(data, [20, 20, 20])


def test_probabilities_are_calibrated_and_then_adjusted_to_the_shares(make_graph):
    data = uneven(make_graph)
    plain = NodeClassifier(epochs=8, estimate_shares=False).fit(data)
    clf = NodeClassifier(epochs=8).fit(data)
    assert plain.calibrated_ and plain.temperature_ == clf.temperature_ != 1
    unseen = data.y.numpy() < 0
    logits = clf.temperature_ * np.log(plain.predict_proba(data))
    shares = clf.models_[0].trained_shares.double()
    want = torch.from_numpy(logits / clf.temperature_) + clf.corrections_[0]
    torch.testing.assert_close(
        share_correction(torch.from_numpy(logits / clf.temperature_), shares), clf.corrections_[0]
    )
    found = clf.predict_proba()[unseen]
    np.testing.assert_allclose(found, torch.softmax(want, 1).numpy()[unseen], rtol=1e-4)
    assert np.abs(found - plain.predict_proba()[unseen]).max() > 0.01
    assert not plain.corrections_[0].any()


def test_predictions_are_pooled_with_the_clusters_of_their_graph_alone(make_graph):
    """A temperature of its own belongs to either; other graphs get the network's predictions."""
    data, other = uneven(make_graph), make_graph(seed=1, features=12)
    plain = NodeClassifier(epochs=8).fit(data)
    clf = NodeClassifier(epochs=8, cluster_pool=2.0).fit(data)
    np.testing.assert_allclose(clf.predict_proba(other), plain.predict_proba(other), rtol=1e-5)
    assert clf.inductive_.temperature == pytest.approx(plain.temperature_)
    assert clf.temperature_ != clf.inductive_.temperature
    assert plain.inductive_ == (plain.temperature_, plain.corrections_)
    # By the plain classifier's probabilities, which the network's logits are found from.
    unseen = data.y.numpy() < 0
    network = plain.temperature_ * (
        np.log(plain.predict_proba(data)) - plain.corrections_[0].numpy()
    )
    known = data.y >= 0
    clusters = cluster_labels(
        clf.scaling_(data.x), data.edge_index, None, known, data.y, 3
    ).score.numpy()
    logits = log_softmax(network, axis=1) + 2 * np.log(np.maximum(clusters, 1e-12))
    z = torch.from_numpy(logits / clf.temperature_)
    correction = share_correction(z, clf.models_[0].trained_shares.double())
    torch.testing.assert_close(clf.corrections_[0], correction, rtol=1e-3, atol=1e-4)
    want = torch.softmax(z + correction, 1).numpy()[unseen]
    np.testing.assert_allclose(clf.predict_proba()[unseen], want, rtol=1e-2, atol=1e-5)
    assert np.abs(want - plain.predict_proba()[unseen]).max() > 0.01


def test_the_temperature_of_pooled_predictions_fits_pooled_predictions(make_graph):
    """Held-out nodes are pooled with the clusters of the fold that they are held out of."""
    data = uneven(make_graph)
    flat = NodeClassifier(epochs=8, cluster_pool=0.0).fit(data)
    temperatures = [
        NodeClassifier(epochs=8, cluster_pool=w).fit(data).temperature_ for w in (1.0, 5.0)
    ]
    assert flat.temperature_ == flat.inductive_.temperature
    # Sharper logits need a higher temperature.
    assert flat.temperature_ < temperatures[0] < temperatures[1]


def test_files_keep_both_adjustments_of_pooled_predictions(make_graph, tmp_path):
    data, other = uneven(make_graph), make_graph(seed=1, features=12)
    path = tmp_path / "model.pt"
    clf = NodeClassifier(epochs=3, ensemble=2, cluster_pool=np.float32(0.5)).fit(data)
    clf.save(path)
    loaded = NodeClassifier.load(path)
    assert loaded.cluster_pool == loaded.run_.settings.cluster_pool == 0.5
    assert loaded.temperature_ == clf.temperature_ != clf.inductive_.temperature
    np.testing.assert_array_equal(loaded.predict_proba(), clf.predict_proba())
    np.testing.assert_array_equal(loaded.predict_proba(other), clf.predict_proba(other))
    # A file from before they differed has one for all graphs.
    plain = NodeClassifier(epochs=3).fit(data)
    plain.save(path)
    content = torch.load(path, weights_only=True)
    told = json.loads(content["json"])
    del content["inductive_corrections"], told["inductive_temperature"]
    del told["parameters"]["cluster_pool"], told["settings"]["cluster_pool"]
    torch.save(content | {"json": json.dumps(told)}, path)
    loaded = NodeClassifier.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(other), plain.predict_proba(other))


@pytest.mark.parametrize(
    ("model", "weight", "message"),
    [
        ("gcn", 0.5, r"expected clusters of the views .*cluster_labels=None"),
        ("auto", "much", r"expected 'cluster_pool' to be a number \(got 'much'\)"),
        ("auto", True, r"a number \(got True\)"),
        ("auto", -1.0, r"finite and not negative \(got -1.0\)"),
    ],
)
def test_weights_of_clusters_that_cannot_be_are_refused(data, model, weight, message):
    with pytest.raises(ValueError, match=message):
        NodeClassifier(model, cluster_pool=weight).fit(data)


def test_nodes_of_another_graph_do_not_depend_on_others_they_are_not_connected_with(make_graph):
    clf = NodeClassifier(epochs=8, calibration="none").fit(uneven(make_graph))
    assert clf.corrections_[0].abs().max() > 0.01
    one, two = make_graph(seed=1, features=12), make_graph(seed=2, features=12)
    class_of_two = two.edge_index[:, (two.edge_index < 20).all(0)]
    joined = Data(
        x=torch.cat([one.x, two.x[:20]]),
        edge_index=torch.cat([one.edge_index, class_of_two + 60], dim=1),
    )
    alone = Data(x=one.x, edge_index=one.edge_index)
    together = clf.predict_proba(joined)
    np.testing.assert_allclose(together[:60], clf.predict_proba(alone), atol=1e-5)
    node = Data(x=one.x[:1], edge_index=torch.empty(2, 0, dtype=torch.long))
    isolated = Data(x=joined.x, edge_index=joined.edge_index[:, (joined.edge_index > 0).all(0)])
    np.testing.assert_allclose(clf.predict_proba(node), clf.predict_proba(isolated)[:1], atol=1e-5)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("kind", ["pickle", "text", "tensor", "version", "empty", "missing"])
def test_other_files_are_refused_and_nothing_in_them_is_run(kind, tmp_path, data, capsys):
    path = tmp_path / "model.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    elif kind == "text":
        path.write_text("no model")
    elif kind == "tensor":
        torch.save(torch.zeros(2), path)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "version":
        NodeClassifier(epochs=1).fit(data).save(path)
        content = torch.load(path, weights_only=True)
        torch.save(content | {"version": 99}, path)
    with pytest.raises(OSError if kind == "missing" else ValueError, match=r"model\.pt"):
        NodeClassifier.load(path)
    assert "run" not in capsys.readouterr().out


def test_settings_in_the_file_are_json(data, tmp_path):
    NodeClassifier(epochs=1).fit(data).save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert json.loads(content["json"])["settings"]["epochs"] == 1


def test_an_older_file_survives_a_failed_save(data, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    NodeClassifier(epochs=1).fit(data).save(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        NodeClassifier(epochs=1).fit(data).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_conventions_of_scikit_learn(data):
    clf = NodeClassifier("gcn", seed=2)
    assert clf.get_params()["model"] == "gcn"
    assert clone(clf.set_params(seed=5)).seed == 5
    assert clf.fit(data) is clf
    for name in ("predict", "predict_proba", "confidence"):
        with pytest.raises(NotFittedError):
            getattr(NodeClassifier(), name)()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model": "grand"}, "'model' to be one of auto"),
        ({"ensemble": 0}, "'ensemble' to be at least 1"),
        ({"ensemble": 1.5}, "'ensemble' to be an integer"),
        ({"validation": 1.5}, r"share in \(0, 1\) or a mask"),
        ({"validation": torch.ones(3, dtype=torch.bool)}, "mask of 60 nodes"),
        ({"validation": 0.1}, "labels enough to validate"),
        ({"calibration": "yes"}, "'calibration' to be one of auto, none"),
        ({"epochs": 0}, "'epochs' to be at least 1"),
        ({"device": "gpu"}, "gpu"),
    ],
)
def test_parameters_out_of_range_are_refused(data, parameters, words):
    with pytest.raises((ValueError, RuntimeError), match=words):
        NodeClassifier(**parameters).fit(data)


def test_graphs_that_cannot_be_used_are_refused(data, make_graph):
    clf = NodeClassifier(epochs=1)
    with pytest.raises(ValueError, match=r"at least two classes.*one, 1"):
        clf.fit(data, torch.where(data.y == 1, 1, -1))
    with pytest.raises(ValueError, match="finite features"):
        bad = make_graph()
        bad.x[3, 2] = float("nan")
        clf.fit(bad)
    clf.fit(data)
    with pytest.raises(ValueError, match=r"expected 12 features per node .got 7"):
        clf.predict_proba(make_graph(features=7))
    with pytest.raises(ValueError, match="known label to score"):
        clf.score(data.truth, torch.zeros(60, dtype=torch.bool))


def test_epochs_are_reported(data):
    seen = []
    NodeClassifier(epochs=3, ensemble=2, calibration="none").fit(data, on_epoch=seen.append)
    assert seen == [6] * 6


def test_large_graphs_are_calibrated_on_one_fold(data, monkeypatch):
    seen = []
    data.y = torch.where(torch.arange(60) % 4 == 0, data.truth, data.y)
    monkeypatch.setattr("grandpp.estimator.classifier._ONE_FOLD_BEYOND", 59)
    clf = NodeClassifier(epochs=2).fit(data, on_epoch=seen.append)
    assert seen == [4] * 4  # two models of two epochs: one for the predictions, one held out
    assert not clf.calibrated_ or clf.temperature_ > 0


def test_features_with_units_are_no_worse_than_scaled_ones(data):
    shift, unit = torch.linspace(-1e3, 2e3, 12), torch.logspace(0, 5, 12)
    plain = NodeClassifier(epochs=15).fit(data)
    data.x = data.x * unit + shift
    clf = NodeClassifier(epochs=15).fit(data)
    assert clf.score(data.truth) > plain.score(data.truth) - 0.1
    np.testing.assert_array_equal(clf.predict(data)[clf.given_ < 0], clf.predict()[clf.given_ < 0])


def test_double_precision_is_taken(data):
    single = NodeClassifier(epochs=2).fit(data).predict_proba()
    data.x = data.x.double()
    np.testing.assert_array_equal(NodeClassifier(epochs=2).fit(data).predict_proba(), single)


def test_numbers_of_classes_score_like_their_names(make_graph, tmp_path):
    data = make_graph(names=["ape", "bee", "cat"])
    clf = NodeClassifier(epochs=15).fit(data)
    names = [data.class_names[c] for c in data.truth]
    assert clf.score(data.truth) == clf.score(names) > 0.9
    clf.save(tmp_path / "model.pt")
    assert NodeClassifier.load(tmp_path / "model.pt").score(names) == clf.score(names)
    with pytest.raises(ValueError, match="classes that were fitted"):
        clf.score(["zebra"] * 60)


@pytest.mark.parametrize("kind", ["indices", "counts", "short", "square"])
def test_what_is_no_mask_is_refused(data, kind):
    masks = {
        "indices": torch.tensor([0, 1, 2]),
        "counts": torch.arange(60),
        "short": torch.ones(59, dtype=torch.bool),
        "square": torch.ones(60, 1, dtype=torch.bool),
    }
    clf = NodeClassifier(epochs=1).fit(data)
    with pytest.raises(ValueError, match="'mask' as a mask of 60 nodes"):
        clf.score(data.truth, masks[kind])
    data.train_mask = masks[kind]
    with pytest.raises(ValueError, match="'train_mask' as a mask of 60 nodes"):
        NodeClassifier(epochs=1).fit(data)


def test_a_mask_of_numbers_is_a_mask(data):
    data.train_mask = data.y >= 0
    expected = NodeClassifier(epochs=2).fit(data).predict_proba()
    data.train_mask = data.train_mask.to(torch.uint8)
    np.testing.assert_array_equal(NodeClassifier(epochs=2).fit(data).predict_proba(), expected)


def test_an_interrupted_fit_leaves_the_classifier_as_it_was(data):
    data.y = torch.where(torch.arange(60) % 4 == 0, data.truth, data.y)
    clf = NodeClassifier(epochs=3).fit(data)
    before = clf.predict_proba(), clf.predict_proba(data)

    def interrupt(total, calls=[]):  # noqa: B006 - counts
        calls.append(total)
        if len(calls) == 5:  # in the first model that calibrates
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clf.fit(data, torch.where(data.y == 2, -1, data.y), on_epoch=interrupt)
    assert clf.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(clf.predict_proba(), before[0])
    np.testing.assert_array_equal(clf.predict_proba(data), before[1])


def test_random_numbers_of_the_caller_are_left_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    NodeClassifier(epochs=1).fit(data)
    assert torch.equal(torch.rand(2), expected)


def test_features_of_another_graph_are_found_by_their_names(data):
    data.feature_names = [f"f{k}" for k in range(12)]
    clf = NodeClassifier(epochs=3).fit(data)
    other = data.clone()
    other.x, other.feature_names = data.x.flip(1), data.feature_names[::-1]
    np.testing.assert_array_equal(clf.predict_proba(other), clf.predict_proba(data))
    other.feature_names = [*data.feature_names[1:], "g"]
    with pytest.raises(ValueError, match="missing: 'f0'"):
        clf.predict_proba(other)


def test_parameters_of_numpy_are_saved(data, tmp_path):
    numbers = {"epochs": np.int64(1), "seed": np.int64(2), "estimate_shares": np.bool_(True)}
    NodeClassifier(**numbers).fit(data).save(tmp_path / "model.pt")
    loaded = NodeClassifier.load(tmp_path / "model.pt")
    assert loaded.seed == 2 and loaded.run_.settings.estimate_shares is True


def test_labels_that_are_missing_in_a_list_are_no_class(data):
    names = [None if c < 0 else f"c{c}" for c in data.y.tolist()]
    gaps = [float("nan") if name is None else name for name in names]
    a, b = (NodeClassifier(epochs=2).fit(data, y) for y in (names, gaps))
    assert a.classes_.tolist() == b.classes_.tolist() == ["c0", "c1", "c2"]
    np.testing.assert_array_equal(a.predict_proba(), b.predict_proba())


def test_sparse_features_stay_sparse(data, monkeypatch):
    data.x = torch.where(data.x > 0.7, data.x, 0.0)
    data.x = data.x.to_sparse_csr()

    def refuse(*args, **kwargs):
        raise AssertionError("made dense")

    monkeypatch.setattr(torch.Tensor, "to_dense", refuse)
    clf = NodeClassifier(epochs=15, calibration="none").fit(data)
    assert clf.score(data.truth) > 0.9
    assert len(clf.suggest(n=3)) == 3
    assert clf.predict_proba(data).shape == (60, 3)


def small(**more):
    return NodeClassifier(**({"model": "grand-l", "epochs": 2, "calibration": "none"} | more))


@pytest.mark.parametrize("model", ["grand-l", "auto"])
def test_tensors_with_gradients_are_constants(data, model, tmp_path, recwarn):
    graph = data.clone()
    leaf = data.x.clone().requires_grad_()
    graph.x = 2 * leaf  # as another module would make it
    graph.edge_weight = torch.ones(data.edge_index.size(1)).requires_grad_()
    plain = data.clone()
    plain.x, plain.edge_weight = 2 * data.x, torch.ones(data.edge_index.size(1))
    clf, other = (small(model=model).fit(g) for g in (graph, plain))
    np.testing.assert_array_equal(clf.predict_proba(), other.predict_proba())
    np.testing.assert_array_equal(clf.predict_proba(graph), other.predict_proba(plain))
    for chosen in (clf.suggest(n=2), clf.suggest(graph, 2)):
        assert chosen.tolist() == other.suggest(n=2).tolist()
    assert small().suggest(graph, 2).tolist() == small().suggest(plain, 2).tolist()
    clf.save(tmp_path / "m.pt")
    assert leaf.grad is None and graph.edge_weight.grad is None
    assert not [w for w in recwarn if "requires_grad" in str(w.message)]


def test_gradients_of_the_caller_are_left_alone(data):
    data.x.requires_grad_()
    data.x.grad = torch.full_like(data.x, 7.0)
    small().fit(data).predict_proba(data)
    assert (data.x.grad == 7).all()


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_counts_are_features(data, kind):
    data.x = (data.x > 1.5).to(kind)
    plain = data.clone()
    plain.x = data.x.float()
    one, other = small().fit(data), small().fit(plain)
    np.testing.assert_array_equal(one.predict_proba(), other.predict_proba())
    np.testing.assert_array_equal(one.predict_proba(data), other.predict_proba(plain))
    assert one.suggest(data, 2).tolist() == other.suggest(plain, 2).tolist()


def test_labels_in_a_column_are_labels(data):
    column = data.clone()
    column.y = data.y.view(-1, 1)
    one, other = small().fit(column), small().fit(data)
    np.testing.assert_array_equal(one.predict_proba(), other.predict_proba())
    np.testing.assert_array_equal(one.predict_proba(column), other.predict_proba(data))
    assert one.suggest(column, 2).tolist() == other.suggest(data, 2).tolist()
    assert one.score(data.truth.view(-1, 1)) == one.score(data.truth)


@pytest.mark.parametrize("none", [None, "", "  ", float("nan")])
def test_names_with_gaps_are_labels(data, none):
    names = [["a", "b", "c"][c] if c >= 0 else none for c in data.y.tolist()]
    clf = small().fit(data, names)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    assert (clf.given_ >= 0).tolist() == (data.y >= 0).tolist()
    graph = Data(x=data.x, edge_index=data.edge_index, y=names)
    np.testing.assert_array_equal(small().fit(graph).predict_proba(), clf.predict_proba())
    np.testing.assert_array_equal(clf.predict_proba(graph), clf.predict_proba(data))
    assert NodeClassifier().suggest(graph, 3).tolist() == NodeClassifier().suggest(data, 3).tolist()


def test_labels_of_any_kind_mark_the_known_nodes_of_another_graph(data):
    clf = small(model="grand++-l").fit(data)
    graph = data.clone()
    graph.y = torch.where(data.y >= 0, data.y + 0.5, torch.nan)
    np.testing.assert_array_equal(clf.predict_proba(graph), clf.predict_proba(data))
    graph.y = data.y[:7]
    with pytest.raises(ValueError, match=r"one label per node, shape \[60\] \(got \[7\]\)"):
        clf.predict_proba(graph)


@pytest.mark.parametrize("use", ["fit", "predict_proba", "suggest"])
def test_what_is_no_graph_with_features_is_refused(data, use, recwarn):
    clf = NodeClassifier() if use == "fit" else small().fit(data)
    call = getattr(clf, use)
    with pytest.raises(TypeError, match=r"expected a PyG Data \(got Tensor\)"):
        call(data.x)
    for x, got in ((None, "none"), (data.x.numpy(), "ndarray")):
        graph = Data(x=x, edge_index=data.edge_index, y=data.y)
        with pytest.raises(ValueError, match=rf"tensor 'x' \(got {got}\)"):
            call(graph)
    assert not [w for w in recwarn if "num_nodes" in str(w.message)]


@pytest.mark.parametrize("use", ["fit", "predict_proba", "suggest"])
def test_masks_of_several_splits_are_refused(data, use):
    clf = small() if use == "fit" else small().fit(data)
    data.train_mask = torch.zeros(60, 10, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"choose one split, such as train_mask\[:, 0\]$"):
        getattr(clf, use)(data)


def test_a_fit_to_another_graph_forgets_the_first(data, make_graph, tmp_path):
    other = make_graph(1, classes=2, features=5, names=["x", "y"])
    clf, fresh = small().fit(data), small().fit(other)
    clf.fit(other)
    np.testing.assert_array_equal(clf.predict_proba(), fresh.predict_proba())
    assert clf.classes_.tolist() == ["x", "y"] and clf.n_features_in_ == 5
    assert clf.suggest(n=2).tolist() == fresh.suggest(n=2).tolist()


def test_parameters_are_set_like_those_of_scikit_learn(data):
    clf = clone(small(validation=data.y >= 0)).set_params(model="gcn", seed=4, validation=None)
    assert clf.get_params()["model"] == "gcn" and clf.fit(data).run_.model == "gcn"
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        clf.set_params(depth=3)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_file_that_was_cut_short_is_refused(data, tmp_path, share):
    small().fit(data).save(tmp_path / "m.pt")
    content = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"m\.pt: expected a model that NodeClassifier"):
        NodeClassifier.load(tmp_path / "m.pt")


def test_a_device_is_refused_by_its_name(data, tmp_path):
    small().fit(data).save(tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"(?i)device.*'gpu'"):
        NodeClassifier.load(tmp_path / "m.pt", device="gpu")


def test_a_folder_without_permission_is_named(data, tmp_path, monkeypatch):
    clf = small().fit(data)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"folder that may be written to for .*m\.pt"):
        clf.save(tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sparse", [False, True])
def test_features_of_one_name_are_told_apart_by_their_order(data, sparse):
    data.feature_names = ["a", "a", *(f"f{k}" for k in range(10))]
    clf = NodeClassifier("mlp", epochs=3).fit(data)
    other, order = data.clone(), [11, 0, *range(2, 11), 1]
    other.x, other.feature_names = data.x[:, order], [data.feature_names[k] for k in order]
    other.x = other.x.to_sparse_csr() if sparse else other.x
    np.testing.assert_allclose(clf.predict_proba(other), clf.predict_proba(data), atol=1e-6)


def test_a_model_may_be_saved_at_home(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    NodeClassifier("mlp", epochs=1).fit(data).save("~/model.pt")
    assert (tmp_path / "model.pt").is_file()
    assert NodeClassifier.load("~/model.pt").model == "mlp"


@pytest.mark.parametrize("use", ["fit", "predict", "suggest", "suggest after fit"])
@pytest.mark.parametrize("kind", ["short", "list", "square"])
def test_weights_that_are_not_one_per_edge_are_refused(data, use, kind):
    clf, edges = NodeClassifier("mlp", epochs=1), data.edge_index.size(1)
    clf = clf if use in ("fit", "suggest") else clf.fit(data)
    wrong = {"short": torch.ones(3), "list": [1.0] * edges, "square": torch.ones(edges, 2)}
    data.edge_weight = wrong[kind]
    words = rf"expected 'edge_weight' as a tensor of shape \[{edges}\]"
    with pytest.raises(ValueError, match=words):
        {"fit": clf.fit, "predict": clf.predict}.get(use, clf.suggest)(data)


@pytest.mark.parametrize("model", ["auto", "mlp"])
def test_weights_in_a_column_are_weights(data, model):
    weight = torch.rand(data.edge_index.size(1))
    parts = []
    for shaped in (weight, weight[:, None]):
        data.edge_weight = shaped
        clf = NodeClassifier(model, epochs=1).fit(data)
        parts.append((clf.predict_proba(), clf.predict_proba(data), clf.suggest(data, n=3)))
    for one, other in zip(*parts, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("seed", "ensemble"), [(2**63, 1), (2**63 - 1, 2), (2**70, 1)])
def test_seeds_beyond_those_of_torch_are_refused(data, seed, ensemble):
    words = rf"expected 'seed' to be at most 9,223,372,036,854,775,80[67] .*got {seed}"
    with pytest.raises(ValueError, match=words):
        NodeClassifier(seed=seed, ensemble=ensemble, epochs=1).fit(data)
    with pytest.raises(ValueError, match=words):
        NodeClassifier(seed=seed, ensemble=ensemble).suggest(data, n=2)


def test_suggestions_are_asked_for_in_the_right_number(data):
    left = int((data.y < 0).sum())
    for n in (0, left + 1, 2.0):
        with pytest.raises(
            ValueError, match=rf"expected an integer from 1 to .* {left} \(got {n}\)"
        ):
            NodeClassifier().suggest(data, n=n)
    data.y = data.truth
    with pytest.raises(ValueError, match=r"expected nodes without a label .*\(got none\)"):
        NodeClassifier().suggest(data, n=1)

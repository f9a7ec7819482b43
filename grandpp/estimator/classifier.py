"""Label the nodes of a graph: fit, predict, confidence, save, load, suggest."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data import check_data
from grandpp.data.features import columns_by_name, select_columns
from grandpp.data.files import expand_home
from grandpp.data.scaling import Scaling, as_float, scaled
from grandpp.estimator.calibration import Adjustment, fit_temperature, held_out_folds
from grandpp.estimator.fitting import FittedModel, logits_of, train_model
from grandpp.estimator.labels import MISSING, Labels, as_tensor, mask_of, places, read_labels
from grandpp.estimator.saving import read_model, write_model
from grandpp.models import (
    LabelClassifier,
    NodeModel,
    graph_views,
    share_correction,
    suggest_from_views,
)
from grandpp.studies.low_label.zoo import DEFAULT_MODEL, MODELS, tuned_run
from grandpp.training.command import resolve_device
from grandpp.training.loggers import Logger
from grandpp.training.options import DEVICES
from grandpp.training.settings import Run

Array = NDArray[np.float64]

CALIBRATIONS: tuple[str, ...] = ("auto", "none")
OTHER_GRAPHS = "*"
"""Row of the tuned settings that serves a graph without one of its own."""

_LAST_SEED = 2**63 - 1
"""Largest seed of torch's generators."""

_ENOUGH = 20
"""Held-out labels from which a temperature is fitted."""

_ONE_FOLD_BEYOND = 100_000
"""Nodes from which a fold takes too long to train several."""


class NodeClassifier(ClassifierMixin, BaseEstimator):
    """Predict the class of every node of a graph from a few labelled nodes.

    The class follows scikit-learn's conventions: the constructor sets parameters, :meth:`fit`
    returns the classifier, and names of fitted attributes end in ``_``.

    Args:
        model: ``"auto"``, the default model of the low-label study, or a name of
            :data:`grandpp.studies.low_label.MODELS`. (default: ``"auto"``)
        seed: Seed of initialisation and dropout. (default: ``0``)
        ensemble: Number of models, trained one after the other with seeds ``seed, seed + 1, ...``,
            whose probabilities are averaged; each model equals that of its seed alone, bit for bit.
            Views and clusters are computed once for all. (default: ``1``)
        validation: Labelled nodes that are not trained on, but choose the epoch and the weights of
            the views that clusters grow in: a share in (0, 1) of the labelled nodes of each class,
            or a mask, bool ``[N]``. (default: ``None``: all labels are trained on, the last epoch
            counts, and the weights come from the data)
        epochs: Training epochs. (default: ``None``: those of the model; for ``"auto"`` five per
            label that is trained on and class, the mean over the classes, from 30 to 100)
        patience: Stop after this number of epochs without a better validation accuracy.
            (default: ``None``: never)
        calibration: ``"auto"``: fit a temperature to labelled nodes that are held out, see
            :meth:`fit`; ``"none"``: use the softmax without a temperature. (default: ``"auto"``)
        estimate_shares: Adjust the probabilities to the shares of the classes among the nodes of
            the graph that is fitted, see :meth:`fit`; for labels that were not drawn at random, as
            many of every class for one. (default: ``None``: what the model does, which for
            ``"auto"`` is to adjust from 20 labels per class on)
        cluster_pool: Weight of the clusters that the model trains on, whose probabilities are
            pooled with the network's, see :func:`grandpp.models.pool_with_clusters`, in predictions
            for the graph that is fitted. On other graphs no clusters grow: predictions there are
            the network's. (default: ``None``: what the model does)
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``. (default: ``"auto"``)

    Attributes:
        classes_: Classes ``[C]``, sorted: integers, or names.
        n_features_in_: Number of features.
        feature_names_in_: Their names, where the graph has ``feature_names``, else ``None``.
        temperature_: Temperature T of the softmax.
        corrections_: For each model the logarithms of the shares of the classes among the nodes
            over those in training ``[C]``, which its logits over T are corrected by; 0 without
            ``estimate_shares``.
        calibrated_: Whether it was fitted.
        inductive_: Temperature and corrections for other graphs; with ``cluster_pool`` they are
            fitted to the networks alone, otherwise they are those above.
        scaling_: How features are scaled, see :class:`grandpp.data.scaling.Scaling`.
        run_: Settings of the training run.
        models_: The trained models.

    Example:
        >>> from grandpp.data import low_label_split, sbm
        >>> sizes = {"num_nodes": 60, "num_edges": 150, "num_classes": 2, "num_features": 20}
        >>> graph = sbm(**sizes, words_per_node=4.0)
        >>> data = low_label_split(graph, labels_per_class=3, seed=0, protocol="no_val")
        >>> clf = NodeClassifier("grand-l", epochs=2).fit(data)
        >>> clf.predict_proba().shape
        (60, 2)
    """

    def __init__(
        self,
        model: str = "auto",
        *,
        seed: int = 0,
        ensemble: int = 1,
        validation: float | Tensor | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        calibration: str = "auto",
        estimate_shares: bool | None = None,
        cluster_pool: float | None = None,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.seed = seed
        self.ensemble = ensemble
        self.validation = validation
        self.epochs = epochs
        self.patience = patience
        self.calibration = calibration
        self.estimate_shares = estimate_shares
        self.cluster_pool = cluster_pool
        self.device = device

    def fit(
        self,
        data: Data,
        y: ArrayLike | Tensor | None = None,
        *,
        on_epoch: Callable[[int], object] = lambda total: None,
        logger: Logger | None = None,
    ) -> NodeClassifier:
        """Train on the labelled nodes of a graph.

        The labelled nodes are those of ``data.train_mask``, or, without a mask, all with a known
        label; no other label is used.

        With ``calibration="auto"`` the temperature of the softmax is fitted to the validation nodes
        if there are at least 20. Otherwise labelled nodes of classes with two labels or more are
        held out in turn, at most five times (once beyond 100,000 nodes) and at most until 100 nodes
        were held out; each time one more model is trained. With fewer than five such labels no
        temperature is fitted.

        With ``estimate_shares`` the shares of the classes among the nodes are estimated from the
        probabilities at this temperature, see :func:`grandpp.models.share_correction`, and the
        probabilities adjusted to them. Predictions for another graph are adjusted in the same way,
        so that they depend on no other node than those they are connected with.

        Args:
            data: Graph with features ``x`` (dense or ``torch.sparse_csr``), ``edge_index``, perhaps
                ``edge_weight``, ``y`` (-1 for none known), ``class_names`` and ``train_mask``.
            y: Labels instead of those of the graph: integers, -1 for none known, or names,
                ``None``, NaN or a blank text for none.
            on_epoch: Called after every epoch with the number of epochs of the whole fit, for a
                progress bar. (default: nothing)
            logger: Follows the models that predict, each as a run with its seed; those that are
                trained for the calibration alone are not followed. (default: ``None``)

        Returns:
            The classifier.

        Raises:
            ValueError: For a parameter out of range or one that the model does not take, a
                malformed graph, or fewer than two classes among the labelled nodes.
            TypeError: If ``data`` is not a PyG ``Data``.
            IndexError: If an edge names a node that does not exist.
            RuntimeError: If a solve fails or training diverges.
        """
        labels, validating = self._read(data, y)
        device = resolve_device(self.device)
        graph = _graph_for_training(data, labels, validating)
        check_data(graph)
        scaling = Scaling.of(graph.x)
        graph.x = scaling(graph.x)
        graph = graph.to(device)
        run = self._run(labels, validating)
        if run.settings.clusters in ("views", "chosen"):
            # They are the same for all models and for the suggestions.
            graph.views = graph_views(graph.x, graph.edge_index, graph.get("edge_weight"))
        folds = self._folds(graph)
        total = run.settings.epochs * (self.ensemble + len(folds))

        def advance() -> None:
            on_epoch(total)

        on_gpu = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(on_gpu):  # the caller's random numbers stay what they are
            fitted = [
                train_model(run.on(0, int(self.seed) + k), graph, device, advance, logger)
                for k in range(self.ensemble)
            ]
            held = self._held_out(run, graph, folds, fitted, device, advance)
        models = [each.model for each in fitted]
        pooled = [each.pooled for each in fitted]
        own = other = _adjustment(models, pooled, held.pooled, held.label)
        if run.settings.cluster_pool:
            other = _adjustment(models, [each.logits for each in fitted], held.logits, held.label)
        # All at once: an interrupted fit leaves the classifier as it was.
        self.models_, self.run_, self.classes_ = models, run, labels.classes
        self.temperature_, self.corrections_ = own
        self.inductive_, self.calibrated_ = other, held.label.numel() > 0
        self.n_features_in_ = int(data.x.size(1))
        self.feature_names_in_ = data.get("feature_names")
        self.scaling_, self.given_ = scaling, labels.codes
        self._class_names = data.get("class_names") if y is None else None
        self._data = graph
        self._proba = self._clamped(own.probabilities(pooled))
        return self

    def planned_run(self, data: Data, y: ArrayLike | Tensor | None = None) -> Run:
        """Return the settings that :meth:`fit` would train with; arguments and errors as there."""
        return self._run(*self._read(data, y))

    def predict_proba(self, data: Data | None = None) -> Array:
        """Return the probability of every class at every node ``[N, C]``.

        Args:
            data: Another graph with the same features. The source of a GRAND++ model acts at its
                labelled nodes (``train_mask``, or known labels ``y``); their labels are not used.
                (default: ``None``: the graph of :meth:`fit`, where labelled nodes have probability
                1 for their class)

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If the graph is malformed or has another number of features, or if the model
                depends on the labels of its own graph only.
            TypeError: For something else than a PyG ``Data``.
        """
        self._check_fitted()
        if data is None:
            return self._proba.copy()
        graph = self._graph_for_prediction(data)
        run: Run = self.run_
        return self.inductive_.probabilities(
            [logits_of(model, run, graph) for model in self.models_]
        )

    def predict(self, data: Data | None = None) -> NDArray[Any]:
        """Return the most probable class of every node ``[N]``; labelled nodes keep theirs.

        Args:
            data: See :meth:`predict_proba`. (default: ``None``)
        """
        best = self.predict_proba(data).argmax(axis=1)
        classes: NDArray[Any] = self.classes_[best]
        return classes

    def confidence(self, data: Data | None = None) -> Array:
        """Return the probability of the most probable class at every node ``[N]``.

        Args:
            data: See :meth:`predict_proba`. (default: ``None``)
        """
        best: Array = self.predict_proba(data).max(axis=1)
        return best

    def score(self, y: ArrayLike | Tensor, mask: ArrayLike | Tensor | None = None) -> float:
        """Return the accuracy, the share of nodes that are classified correctly.

        Args:
            y: True classes ``[N]``: names, or integers as in ``data.y`` of :meth:`fit`; nodes
                without one do not count, and nodes of a class that was not fitted count as wrong.
            mask: Nodes that count, bool ``[N]``. (default: ``None``: those whose label :meth:`fit`
                did not use)

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If no node counts, or none of the classes was fitted.
        """
        self._check_fitted()
        right = read_labels(Data(num_nodes=len(self._proba)), y, self._class_names)
        unseen = self.given_ < 0
        chosen = unseen if mask is None else mask_of(mask, len(self._proba), "mask")
        counted = chosen & (right.codes >= 0)
        if not counted.any():
            raise ValueError("expected a node with a known label to score (got none)")
        wanted = places(right.classes, self.classes_)[right.codes[counted]]
        if (wanted < 0).all():
            raise ValueError(
                f"expected classes that were fitted, such as {self.classes_.tolist()[0]!r} "
                f"(got {right.classes.tolist()[0]!r} and none of them)"
            )
        return float((self._proba[counted].argmax(axis=1) == wanted).mean())

    def suggest(self, data: Data | None = None, n: int = 10) -> NDArray[np.int64]:
        """Choose the nodes whose labels would help most.

        Source: :func:`grandpp.models.suggest_from_views`, on scaled features as :meth:`fit` takes
        them.

        Args:
            data: Graph; its labelled nodes are those of ``train_mask``, or all with a known label
                (``y >= 0``). Before :meth:`fit` the nodes are chosen to cover the graph, without
                labels. (default: ``None``: the graph of :meth:`fit`)
            n: Number of nodes. (default: ``10``)

        Returns:
            Indices of nodes without a label, the most useful first ``[n]``.

        Raises:
            ValueError: If ``n`` is not an integer from 1 to the number of nodes without a label, a
                parameter is out of range, or there is no graph, or one without features.
            TypeError: For something else than a PyG ``Data``.
        """
        self._check_parameters()
        proba: Array | None = None
        if data is None:
            if not hasattr(self, "_data"):
                raise NotFittedError("expected a graph, or a NodeClassifier fitted to one")
            graph, known, proba = self._data, torch.from_numpy(self.given_), self._proba
            x = graph.x  # as it was scaled
        else:
            _check_graph(data)
            graph, known, x = data, _known_labels(data), scaled(data.x)
            if hasattr(self, "_proba"):
                proba = self.predict_proba(data)
                x = self.scaling_(self._in_order(data))
        views = graph.get("views")
        if views is None:
            views = graph_views(x, graph.edge_index, _weight_of(graph))
        chosen = suggest_from_views(
            views, n, labelled=(known >= 0).nonzero().view(-1), label=known,
            proba=None if proba is None else torch.from_numpy(proba), seed=int(self.seed),
        )  # fmt: skip
        indices: NDArray[np.int64] = chosen.cpu().numpy()
        return indices

    def save(self, path: str | Path) -> None:
        """Write the classifier to a file: tensors, and settings as JSON.

        Args:
            path: The file; an older one is replaced in one step.

        Raises:
            NotFittedError: Before :meth:`fit`.
            OSError: If it cannot be written.
        """
        self._check_fitted()
        write_model(self, expand_home(path))

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> NodeClassifier:
        """Read a classifier from a file of :meth:`save`; no code in it is run.

        The file holds the predictions but not the graph: :meth:`predict_proba` without an argument
        returns what it returned before saving.

        Args:
            path: The file.
            device: Where its models compute. (default: ``"auto"``)

        Raises:
            ValueError: If it is no such file, or the device is another one or not there.
            OSError: If it cannot be read.
        """
        _check_device(device)
        return read_model(cls, expand_home(path), device)

    def _check_parameters(self) -> None:
        if self.model not in ("auto", *MODELS):
            names = ", ".join(("auto", *MODELS))
            raise ValueError(f"expected 'model' to be one of {names} (got {self.model!r})")
        if self.calibration not in CALIBRATIONS:
            raise ValueError(
                f"expected 'calibration' to be one of {', '.join(CALIBRATIONS)} "
                f"(got {self.calibration!r})"
            )
        for name, least in (("ensemble", 1), ("seed", 0), ("epochs", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is None and name in ("epochs", "patience"):
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise ValueError(f"expected '{name}' to be an integer (got {value!r})")
            if value < least:
                raise ValueError(f"expected '{name}' to be at least {least} (got {value})")
        last = _LAST_SEED - (int(self.ensemble) - 1)
        if self.seed > last:
            members = f" with {self.ensemble} models" if self.ensemble > 1 else ""
            raise ValueError(f"expected 'seed' to be at most {last:,}{members} (got {self.seed})")
        _check_device(self.device)
        if self.estimate_shares not in (None, False, True):
            raise ValueError(
                "expected 'estimate_shares' to be True, False or None "
                f"(got {self.estimate_shares!r})"
            )
        pool = self.cluster_pool
        if pool is not None and (isinstance(pool, bool) or not isinstance(pool, Real)):
            raise ValueError(f"expected 'cluster_pool' to be a number (got {pool!r})")
        given = self.validation
        number = isinstance(given, Real | str)
        fits = isinstance(given, Real) and not isinstance(given, Integral) and 0 < float(given) < 1
        if number and not fits:
            raise ValueError(
                f"expected 'validation' to be a share in (0, 1) or a mask (got {self.validation})"
            )

    def _read(self, data: Data, y: ArrayLike | Tensor | None) -> tuple[Labels, NDArray[np.bool_]]:
        """The labels that are used, and which of them validate."""
        self._check_parameters()
        _check_graph(data)
        labelled, nodes = data.get("train_mask"), data.num_nodes or 0
        seen = mask_of(np.ones(nodes, bool) if labelled is None else labelled, nodes, "train_mask")
        labels = read_labels(data, y)
        validating = self._validating(labels, seen)
        return labels.seen(seen | validating), validating

    def _run(self, labels: Labels, validating: NDArray[np.bool_]) -> Run:
        name = DEFAULT_MODEL if self.model == "auto" else self.model
        counts = np.bincount(labels.codes[(labels.codes >= 0) & ~validating])
        run = tuned_run(
            OTHER_GRAPHS,
            name,
            max(1, int(counts.mean())),
            protocol="no_val",
            seed=int(self.seed),
            epochs=None if self.epochs is None else int(self.epochs),
            patience=None if self.patience is None else int(self.patience),
            estimate_shares=None if self.estimate_shares is None else bool(self.estimate_shares),
            cluster_pool=None if self.cluster_pool is None else float(self.cluster_pool),
        )
        if self.estimate_shares and not getattr(run.settings, "estimate_shares", False):
            raise ValueError(
                "expected a model that adjusts its probabilities for 'estimate_shares' "
                f"(got {name}, which does not)"
            )
        return run

    def _validating(self, labels: Labels, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Nodes that choose the epoch; of every class at least one label is left to train on."""
        mask = np.zeros(seen.size, dtype=bool)
        if self.validation is None:
            return mask
        if not isinstance(self.validation, Real):
            given = mask_of(self.validation, mask.size, "validation") & (labels.codes >= 0)
            left = set(labels.codes[seen & ~given].tolist())
            if not left >= set(labels.codes[seen & (labels.codes >= 0)].tolist()):
                raise ValueError(
                    "expected 'validation' to leave a labelled node of every class to train on "
                    "(got all of one class)"
                )
            return given
        rng = np.random.default_rng(self.seed)
        for k in range(len(labels.classes)):
            nodes = rng.permutation(np.flatnonzero(seen & (labels.codes == k)))
            mask[nodes[: min(round(self.validation * nodes.size), nodes.size - 1)]] = True
        if not mask.any():
            raise ValueError(
                f"expected labels enough to validate with (a share of {self.validation} takes "
                "none of any class)"
            )
        return mask

    def _folds(self, graph: Data) -> list[Tensor]:
        if self.calibration == "none" or int(graph.val_mask.sum()) >= _ENOUGH:
            return []
        labelled = graph.train_mask.cpu().nonzero().view(-1)
        most = 1 if graph.num_nodes > _ONE_FOLD_BEYOND else 5
        folds = held_out_folds(graph.y.cpu(), labelled, int(self.seed), most=most)
        return folds if sum(fold.numel() for fold in folds) >= 5 else []

    def _held_out(
        self,
        run: Run,
        graph: Data,
        folds: Sequence[Tensor],
        fitted: Sequence[FittedModel],
        device: torch.device,
        advance: Callable[[], None],
    ) -> _HeldOut:
        classes = graph.y.cpu()
        if self.calibration != "none" and int(graph.val_mask.sum()) >= _ENOUGH:
            nodes = graph.val_mask.cpu().nonzero().view(-1)
            return _HeldOut.of([(each, nodes) for each in fitted], classes)
        found = [(fitted[0], classes[:0])]
        for fold in folds:
            part = copy.copy(graph)
            part.train_mask = graph.train_mask.clone()
            part.train_mask[fold.to(device)] = False
            found.append((train_model(run, part, device, advance), fold))
        return _HeldOut.of(found, classes)

    def _clamped(self, proba: Array) -> Array:
        known = self.given_ >= 0
        proba[known] = 0
        proba[known, self.given_[known]] = 1
        return proba

    def _graph_for_prediction(self, data: Data) -> Data:
        if any(isinstance(model, LabelClassifier) for model in self.models_):
            raise ValueError(
                f"expected a model that learns from features to classify another graph (got "
                f"{self.run_.model}): fit on that graph"
            )
        _check_graph(data)
        if data.x.dim() != 2 or data.x.size(1) != self.n_features_in_:
            found = data.x.size(1) if data.x.dim() == 2 else f"shape {list(data.x.shape)}"
            raise ValueError(f"expected {self.n_features_in_} features per node (got {found})")
        x = self.scaling_(self._in_order(data))
        graph = Data(x=x, edge_index=data.edge_index, edge_weight=_weight_of(data))
        trusted = _labels_of(data) >= 0
        mask = mask_of(data.get("train_mask", trusted), data.num_nodes or 0, "train_mask")
        graph.train_mask = torch.from_numpy(mask)
        graph.y = torch.zeros(data.num_nodes, dtype=torch.long)  # not looked at
        check_data(graph)
        return graph.to(next(self.models_[0].parameters()).device)

    def _in_order(self, data: Data) -> Tensor:
        """The features of another graph in the order of those that were fitted."""
        mine, theirs = self.feature_names_in_, data.get("feature_names")
        if mine is None or theirs is None or list(mine) == list(theirs):
            return as_float(data.x)
        order = columns_by_name(mine, theirs)
        if (order < 0).any():
            missing = mine[int((order < 0).argmax())]
            raise ValueError(f"expected the features that were fitted (missing: {missing!r})")
        return select_columns(as_float(data.x), torch.from_numpy(order).to(data.x.device))

    def _check_fitted(self) -> None:
        if not hasattr(self, "_proba"):
            raise NotFittedError("expected a fitted NodeClassifier: call fit first")


class _HeldOut(NamedTuple):
    """Labelled nodes that were not trained on: logits of the network and pooled, classes."""

    logits: Tensor
    pooled: Tensor
    label: Tensor

    @classmethod
    def of(cls, found: Sequence[tuple[FittedModel, Tensor]], classes: Tensor) -> _HeldOut:
        return cls(
            torch.cat([fitted.logits[nodes] for fitted, nodes in found]),
            torch.cat([fitted.pooled[nodes] for fitted, nodes in found]),
            torch.cat([classes[nodes] for _, nodes in found]),
        )


def _adjustment(
    models: Sequence[NodeModel], logits: Sequence[Tensor], held: Tensor, label: Tensor
) -> Adjustment:
    """Calibrate to held-out logits, then correct to the shares of the classes among all nodes."""
    temperature = fit_temperature(held, label)
    pairs = zip(models, logits, strict=True)
    return Adjustment(temperature, [_correction(model, z, temperature) for model, z in pairs])


def _correction(model: NodeModel, logits: Tensor, temperature: float) -> Tensor:
    """The correction of calibrated logits to the shares of the classes among their nodes ``[C]``.

    Calibrated first: Saerens et al. take the probabilities for right. Overconfident ones gave
    lower accuracy and larger calibration errors on Cora and CiteSeer with 20 labels per class.
    """
    trained: Tensor | None = getattr(model, "trained_shares", None)
    if trained is None:
        return torch.zeros(logits.size(1), dtype=torch.float64)
    return share_correction(logits.double() / temperature, trained.cpu())


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise ValueError(f"expected 'device' to be one of {', '.join(DEVICES)} (got {device!r})")


def _check_graph(data: Data) -> None:
    """Check that a graph is one, and that it has features.

    Raises:
        TypeError: For something else than a PyG ``Data``.
        ValueError: If ``x`` is no tensor.
    """
    if not isinstance(data, Data):
        raise TypeError(f"expected a PyG Data (got {type(data).__name__})")
    x = data.get("x")
    if not isinstance(x, Tensor):
        found = "none" if x is None else type(x).__name__
        raise ValueError(
            f"expected a graph with features, a tensor 'x' (got {found}); read_graph, and "
            "structural_features of grandpp.data.graph_files, make some of the edges"
        )


def _weight_of(data: Data) -> Tensor | None:
    """The weights of the edges as constants ``[E]``, or ``None``.

    Raises:
        ValueError: If they are no tensor with one number per edge.
    """
    weight = data.get("edge_weight")
    if weight is None:
        return None
    column = isinstance(weight, Tensor) and weight.dim() == 2 and weight.size(1) == 1
    found = weight.squeeze(1) if column else weight
    num_edges = data.num_edges
    if not isinstance(found, Tensor) or found.shape != (num_edges,):
        got = list(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(
            f"expected 'edge_weight' as a tensor of shape [{num_edges}], one number per edge "
            f"(got {got})"
        )
    return found.detach()


def _graph_for_training(data: Data, labels: Labels, validating: NDArray[np.bool_]) -> Data:
    """The graph with the labels that may be seen, and no others."""
    graph = Data(x=as_float(data.x), edge_index=data.edge_index, edge_weight=_weight_of(data))
    graph.y = as_tensor(labels)
    graph.val_mask = torch.from_numpy(validating)
    graph.train_mask = (graph.y >= 0) & ~graph.val_mask
    graph.test_mask = torch.zeros_like(graph.val_mask)
    return graph


def _known_labels(data: Data) -> Tensor:
    """Classes ``[N]``, -1 where no label may be seen."""
    known = _labels_of(data)
    mask = data.get("train_mask")
    if mask is None or data.get("y") is None:
        return known
    seen = torch.from_numpy(mask_of(mask, known.numel(), "train_mask"))
    return torch.where(seen, known, MISSING)


def _labels_of(data: Data) -> Tensor:
    """Labels of a graph by number ``[N]``, -1 where none is known."""
    y = data.get("y")
    if y is None:
        return torch.full((data.num_nodes or 0,), MISSING)
    if not isinstance(y, Tensor):
        return as_tensor(read_labels(data))
    y = y.detach().cpu()
    y = y[:, 0] if y.dim() == 2 and y.size(1) == 1 else y
    if y.shape != (data.num_nodes,):
        raise ValueError(
            f"expected one label per node, shape [{data.num_nodes}] (got {list(y.shape)})"
        )
    return torch.where(y >= 0, y, MISSING).long()

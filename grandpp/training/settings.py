"""Settings of models as dataclasses that build them, and the run of one model on one split."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch

from grandpp.models import NodeModel
from grandpp.training.options import option, positive_int
from grandpp.training.targets import CLUSTERS, WITH_PROBABILITIES

if TYPE_CHECKING:
    from typing_extensions import Self

OPTIMIZERS: tuple[str, ...] = ("Adam", "Adamax", "RMSprop")

FEATURES: tuple[str, ...] = ("rows", "binary", "unit")
"""Forms of the node features that a model gets, see :class:`TrainedSettings`."""

LABELS_CHOSEN: tuple[str, ...] = ("coverage",)
"""How nodes to label may be chosen, see :class:`Run`."""


class Cost(NamedTuple):
    """Rough cost of a training step per node and edge.

    Args:
        channels: Size of the hidden state.
        depth: Products with the graph.
        work: Work of a product, in units of one with fixed weights.
        arrays: Arrays of the hidden state that the backward pass needs.
    """

    channels: int = 1
    depth: float = 2.0
    work: int = 1
    arrays: int = 5


def constant(default: Any = MISSING) -> Any:
    """Declare a field that tells the variants of a family apart.

    It is set by the zoo alone: users cannot choose it, and it is no part of a record.

    Args:
        default: Its value where the variant does not name it. (default: every variant names it)
    """
    return field(default=default, metadata={"constant": True})


@dataclass(frozen=True, kw_only=True)
class ModelSettings(ABC):
    """Settings of a family of models: the choices of a run, checked, and how to build the model.

    A subclass declares one field per choice. Its default serves every data set that has no row in
    :attr:`tuned_rows`; ``None`` is no choice and leaves the hash of a run alone, so a new field
    with the default ``None`` changes no hash. A field with :func:`grandpp.training.options.option`
    is an option of the command lines.

    Training reads the properties below of every model; a field of the same name replaces one.
    """

    tuned_rows: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Tuned values by data set."""

    def __post_init__(self) -> None:
        """Check every choice.

        Raises:
            ValueError: If a value is out of range.
        """
        for name, value in self.choices().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"expected '{name}' to be finite (got {value})")

    @abstractmethod
    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the model, with parameters drawn from torch's generator.

        Args:
            in_channels: Size of the features.
            out_channels: Number of classes.
        """

    @classmethod
    def choice_names(cls) -> tuple[str, ...]:
        """Names of the fields that a user may set."""
        return tuple(f.name for f in fields(cls) if not f.metadata.get("constant"))

    @classmethod
    def tuned(cls, dataset: str, **values: Any) -> Self:
        """Return the settings tuned for a data set, but for the values given."""
        return cls(**{**cls.tuned_rows.get(dataset, {}), **values})

    def choices(self) -> dict[str, Any]:
        """Every choice by name, as it stands in a record."""
        return {"epochs": self.epochs} | {name: getattr(self, name) for name in self.choice_names()}

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return Cost()

    @property
    def epochs(self) -> int:
        """Training epochs; 0 for a model without training by gradient."""
        return 0

    @property
    def patience(self) -> int | None:
        """Epochs without a better validation accuracy that end training."""
        return None

    @property
    def features(self) -> str | None:
        """One of :data:`FEATURES`; ``None`` is the first."""
        return None

    @property
    def cluster_labels(self) -> float | None:
        """Weight of seeded clusters in the loss, see :class:`TrainedSettings`."""
        return None

    @property
    def clusters(self) -> str | None:
        """What seeded clusters grow in, see :class:`TrainedSettings`."""
        return None

    @property
    def cluster_pool(self) -> float | None:
        """Weight of the clusters' probabilities in predictions, see :class:`TrainedSettings`."""
        return None

    @property
    def rewiring(self) -> str | None:
        """Edges to diffuse along, a kind of :func:`grandpp.data.rewire`; ``None``: the graph's."""
        return None

    @property
    def best_time(self) -> bool | None:
        """Whether the trajectory is searched for its best time."""
        return None

    @property
    def trains_in_batches(self) -> bool:
        """Whether runs on several splits can be trained as one program."""
        return False


@dataclass(frozen=True, kw_only=True)
class TrainedSettings(ModelSettings):
    """Training by gradient.

    Args:
        optimizer, lr, weight_decay: Optimiser of ``torch.optim`` and its settings.
        input_dropout: Dropout on the features.
        epochs: Training epochs.
        patience: Epochs without a better validation accuracy that end training.
        features: ``"rows"``, as loaded: rows that sum to 1; ``"binary"``: 1 where an entry is not
            zero, as in the official GRAND code; ``"unit"``: rows of Euclidean norm 1. Clusters grow
            in the features as loaded. (default: ``None``: ``"rows"``)
        cluster_labels: Train on seeded clusters too, which count as this many labelled nodes per
            class, see :func:`grandpp.training.targets.clustered_targets`.
        clusters: What they grow in: ``"features"``, diffused features, or ``"views"``, features,
            diffused features and the graph, weighed by the trust that each of them deserves;
            ``"chosen"``, those of the views with the weights that have the most validation nodes
            right. (default: ``None``: ``"features"``)
        cluster_pool: Weight of the clusters' probabilities in the predictions for the graph that
            is trained on, see :func:`grandpp.models.pool_with_clusters`; for clusters of the views.
            0 is stored as ``None``, so that runs without it keep their hash.
            (default: ``None``, none)
    """

    optimizer: str = "Adam"
    lr: float = 0.01
    weight_decay: float = 0.0005
    input_dropout: float = 0.5
    epochs: int = option(
        "training epochs",
        default=100,
        parse=positive_int,
        shown_default="tuned per data set; grand++-views: 5 per label of a class, 30 to 100",
    )
    patience: int | None = option(
        "stop after P epochs without a better validation accuracy",
        default=None,
        parse=positive_int,
        metavar="P",
        shown_default="never",
    )
    features: str | None = option(
        "form of the features: rows that sum to 1 (rows), 1 for every non-zero entry as in GRAND's "
        "official code (binary), or rows of Euclidean norm 1 (unit)",
        default=None,
        choices=FEATURES,
        shown_default="tuned per data set, else rows",
    )
    cluster_labels: float | None = option(
        "also train on seeded clusters, which count as L labelled nodes per class",
        default=None,
        metavar="L",
        shown_default="1 for grand++-cluster and grand++-views",
    )
    clusters: str | None = option(
        "what clusters grow in: diffused features (features); features, diffused features and the "
        "graph, with weights found without labels (views) or by validation nodes, if any (chosen)",
        default=None,
        choices=CLUSTERS,
        shown_default="chosen for grand++-views, else features",
    )
    cluster_pool: float | None = option(
        "pool the predictions with the probabilities of the clusters, which count W times; for "
        "clusters of the views",
        default=None,
        metavar="W",
        shown_default="0",
    )

    def __post_init__(self) -> None:
        """Check every choice."""
        # Without an epoch the random start would be reported.
        check_positive(self, "lr", "epochs", "patience")
        check_not_negative(self, "weight_decay", "cluster_labels", "cluster_pool")
        check_shares(self, "input_dropout")
        check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        if self.features is not None:
            check_one_of("features", self.features, FEATURES)
        if self.clusters is not None:
            check_one_of("clusters", self.clusters, CLUSTERS)
        if self.cluster_pool == 0:
            object.__setattr__(self, "cluster_pool", None)
        if self.cluster_pool and not (self.cluster_labels and self.clusters in WITH_PROBABILITIES):
            raise ValueError(
                f"expected clusters of the views ({' or '.join(WITH_PROBABILITIES)}) for "
                f"'cluster_pool' (got cluster_labels={self.cluster_labels}, "
                f"clusters={self.clusters})"
            )
        super().__post_init__()

    def build_optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser of a model's parameters that are to be trained."""
        kind = getattr(torch.optim, self.optimizer)
        parameters = [p for p in model.parameters() if p.requires_grad]
        # The same arithmetic for all parameters at once, which the CPU does not do unless asked to:
        # the same bits in a third of the time.
        optimizer: torch.optim.Optimizer = kind(
            parameters, lr=self.lr, weight_decay=self.weight_decay, foreach=True
        )
        return optimizer


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run of one model on one split.

    Args:
        dataset: Name of the data set.
        model: Name of the model, for tables; its settings build it.
        labels_per_class: Labelled training nodes per class.
        protocol: How the other nodes are split, see :func:`grandpp.data.low_label_split`.
        split: Seed of the split.
        seed: Seed of initialisation and dropout.
        settings: Settings of the model.
        labels_chosen: How the labelled nodes are chosen: ``"coverage"``, ``labels_per_class`` times
            the number of classes together, by :func:`grandpp.models.suggest_from_views`, which
            sees no label. (default: ``None``: drawn at random from every class)

    Raises:
        ValueError: If ``labels_per_class`` is not positive, or nodes are chosen by coverage with a
            protocol that knows other labels.
    """

    dataset: str
    model: str
    labels_per_class: int
    settings: ModelSettings
    protocol: str = "grand"
    split: int = 0
    seed: int = 0
    labels_chosen: str | None = None

    def __post_init__(self) -> None:
        check_positive(self, "labels_per_class")
        if self.labels_chosen is not None:
            check_one_of("labels_chosen", self.labels_chosen, LABELS_CHOSEN)
            if self.protocol != "no_val":
                raise ValueError(
                    "expected protocol 'no_val' where the nodes to label are chosen: no other "
                    f"label is known (got '{self.protocol}')"
                )

    def choices(self) -> dict[str, Any]:
        """Everything that is chosen for the run, by name, as it stands in its record."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "settings"}
        return own | self.settings.choices()

    @property
    def config_hash(self) -> str:
        """Twelve hex digits that name every choice but split and seed; ``None`` is no choice."""
        return hash_choices(self.choices())

    @property
    def key(self) -> tuple[Any, ...]:
        """The key of the run; runs with equal keys are the same run."""
        return (
            self.dataset,
            self.labels_per_class,
            self.protocol,
            self.model,
            self.split,
            self.seed,
            self.config_hash,
        )

    def on(self, split: int, seed: int = 0) -> Run:
        """Return the same run on another split, with another seed."""
        return replace(self, split=split, seed=seed)

    def with_settings(self, **changes: Any) -> Run:
        """Return the same run with other settings.

        Raises:
            ValueError: If a value is out of range.
            TypeError: For a setting that the model does not have.
        """
        return replace(self, settings=replace(self.settings, **changes))


def hash_choices(choices: Mapping[str, Any]) -> str:
    """Return the hash of a run from its choices, for example from the ``config`` of its record."""
    named = {k: v for k, v in choices.items() if v is not None and k not in ("split", "seed")}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def build_optimizer(run: Run, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser of a run.

    Raises:
        ValueError: If the model is not trained by gradient.
    """
    if not isinstance(run.settings, TrainedSettings):
        raise ValueError(f"expected a model that is trained by gradient (got '{run.model}')")
    return run.settings.build_optimizer(model)


def check_positive(settings: object, *names: str) -> None:
    """Raise ``ValueError`` unless the named fields are positive and finite, or ``None``."""
    _check(settings, names, lambda value: 0 < value < math.inf, "to be positive")


def check_not_negative(settings: object, *names: str) -> None:
    """Raise ``ValueError`` unless the named fields are 0, positive and finite, or ``None``."""
    _check(settings, names, lambda value: 0 <= value < math.inf, "to be finite and not negative")


def check_shares(settings: object, *names: str) -> None:
    """Raise ``ValueError`` unless the named fields are in [0, 1), or ``None``."""
    _check(settings, names, lambda value: 0 <= value < 1, "in [0, 1)")


def check_one_of(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ``ValueError`` unless a value is one of some choices."""
    if value not in tuple(choices):
        raise ValueError(f"expected '{name}' to be one of {', '.join(choices)} (got '{value}')")


def _check(
    settings: object, names: Iterable[str], holds: Callable[[Any], bool], words: str
) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not holds(value):
            raise ValueError(f"expected '{name}' {words} (got {value})")

"""Models by name: the settings of each, and runs with tuned settings.

A new model is one file in :mod:`grandpp.models`, one settings dataclass and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grandpp.models import (
    AdaLanczosNet,
    ClusterClassifier,
    LaplaceLearning,
    PoissonLearning,
    ViewClusterClassifier,
    mlp,
)
from grandpp.studies.low_label.diffusion_settings import (
    CGNNSettings,
    EquationSettings,
    GRANDPPSettings,
    GRANDSettings,
    MomentumSettings,
    MomentumSourceSettings,
    RewiredGRANDPPSettings,
    RewiredGRANDSettings,
)
from grandpp.studies.low_label.network_settings import (
    APPNPSettings,
    CorrectAndSmoothSettings,
    GATSettings,
    GCNIISettings,
    GCNSettings,
    LabelPropagationSettings,
    LanczosSettings,
    LayeredSettings,
    MoNetSettings,
    PlainSettings,
    SAGESettings,
    SGCSettings,
)
from grandpp.training.settings import ModelSettings, Run

# Of the solver "auto" for nonlinear diffusion: training does not see the difference to a tenth of
# this, and takes half as long again there.
_TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
# Binary features make attention so sharp that it changes fast along a solution: on Computers an
# epoch takes ten times as long.
_NONLINEAR = {"features": "rows", **_TOLERANCE}


class Variant:
    """A model of the zoo: a family of settings, with the values of this member.

    Args:
        settings: The settings dataclass of the family.
        **values: Its constants, and defaults that stand before the tuned values; ``epochs`` and
            ``estimate_shares`` may be functions of the number of labels per class.
    """

    def __init__(self, settings: type[ModelSettings], **values: Any) -> None:
        self.settings, self.values = settings, values

    @property
    def has_time(self) -> bool:
        """Whether the model solves an equation over a time that can be chosen."""
        return issubclass(self.settings, EquationSettings)

    @property
    def choices(self) -> tuple[str, ...]:
        """Names of the settings that can be chosen."""
        return self.settings.choice_names()

    def tuned(
        self, dataset: str, overrides: Mapping[str, Any], labels_per_class: int = 1
    ) -> ModelSettings:
        """Return tuned settings, but for the overrides that the model has."""
        own = {k: v for k, v in overrides.items() if v is not None and k in self.choices}
        values = {**self.values, **own}
        for name in ("epochs", "estimate_shares"):
            if callable(of_labels := values.get(name)):
                values[name] = of_labels(labels_per_class)
        if own.get("solver", "auto") != "auto":
            values = {k: v for k, v in values.items() if k not in _TOLERANCE or k in own}
        return self.settings.tuned(dataset, **values)


CLUSTER_LABELS = 1.0
"""Chosen on validation nodes, see ``docs/results.md``."""

_LINEAR = {"mode": "linear", "solver": "exact"}


def default_epochs(labels_per_class: int) -> int:
    """Training epochs of the default model: five per label of a class, from 30 to 100.

    Chosen with 5, 10 and 20 labels, see ``docs/results/default-model.md``.

    Args:
        labels_per_class: Labelled training nodes per class.
    """
    return min(max(30, 5 * labels_per_class), 100)


def default_shares(labels_per_class: float) -> bool:
    """Whether the default model estimates the shares of the classes: from 20 labels per class on.

    With 5 and 10 labels it is better on some graphs and worse on others, see
    ``docs/results/default-model.md``; fewer were not tried.

    Args:
        labels_per_class: Labelled training nodes per class.
    """
    return labels_per_class >= 20


# Of the default model: the same for every graph, whatever is tuned for it.
_EVERYWHERE = {
    "features": "unit",
    "centred": True,
    "hidden": 64,
    "heads": 4,
    "attention_channels": 32,
    "attention": "scaled_dot",
    "normalization": "squareplus",
    # A long time averages features that are noise; the learned beta x(0) keeps those that are not
    # where the edges are.
    "time": 10.0,
    "learn_beta": True,
    "optimizer": "Adamax",
    "lr": 0.0229,
    "weight_decay": 0.00508,
    "input_dropout": 0.5,
    "dropout": 0.047,
    "epochs": default_epochs,
    "estimate_shares": default_shares,
}

ZOO: dict[str, Variant] = {
    "grand-l": Variant(GRANDSettings, **_LINEAR),
    "grand-nl": Variant(GRANDSettings, **_NONLINEAR),
    "grand-nl-rw": Variant(RewiredGRANDSettings, **_NONLINEAR),
    "grand++-l": Variant(GRANDPPSettings, **_LINEAR),
    "grand++-nl": Variant(GRANDPPSettings, **_NONLINEAR),
    "grand++-nl-rw": Variant(RewiredGRANDPPSettings, **_NONLINEAR),
    "grand++-cluster-l": Variant(GRANDPPSettings, cluster_labels=CLUSTER_LABELS, **_LINEAR),
    "grand++-views-l": Variant(
        GRANDPPSettings, cluster_labels=CLUSTER_LABELS, clusters="chosen", **_EVERYWHERE, **_LINEAR
    ),
    "grand++-cluster-nl": Variant(GRANDPPSettings, cluster_labels=CLUSTER_LABELS, **_NONLINEAR),
    "hb-l": Variant(MomentumSettings, mode="linear"),
    "hb-nl": Variant(MomentumSettings),
    "hb++-l": Variant(MomentumSourceSettings, mode="linear"),
    "hb++-nl": Variant(MomentumSourceSettings),
    "ghb-l": Variant(MomentumSettings, kind="ghbnode", mode="linear"),
    "ghb-nl": Variant(MomentumSettings, kind="ghbnode"),
    "wave-l": Variant(MomentumSettings, kind="wave", mode="linear"),
    "adam-l": Variant(MomentumSettings, kind="adamnode", mode="linear"),
    "adam-nl": Variant(MomentumSettings, kind="adamnode"),
    "gcn": Variant(GCNSettings),
    "gat": Variant(GATSettings),
    "mlp": Variant(LayeredSettings, network=mlp),
    "sage": Variant(SAGESettings),
    "monet": Variant(MoNetSettings),
    "cgnn": Variant(CGNNSettings),
    "lanczosnet": Variant(LanczosSettings),
    "adalanczosnet": Variant(LanczosSettings, network=AdaLanczosNet),
    "appnp": Variant(APPNPSettings),
    "gcnii": Variant(GCNIISettings),
    "sgc": Variant(SGCSettings),
    "correct_and_smooth": Variant(CorrectAndSmoothSettings),
    "label_propagation": Variant(LabelPropagationSettings),
    "clusters": Variant(PlainSettings, kind=ClusterClassifier),
    "view-clusters": Variant(PlainSettings, kind=ViewClusterClassifier),
    "laplace": Variant(PlainSettings, kind=LaplaceLearning),
    "poisson": Variant(PlainSettings, kind=PoissonLearning),
}
"""All models."""

MODELS: tuple[str, ...] = tuple(ZOO)
"""Names of all models."""

DEFAULT_MODEL = "grand++-views-l"
"""The model to take where nothing is known of a graph."""

FAMILIES: tuple[type[ModelSettings], ...] = tuple(dict.fromkeys(v.settings for v in ZOO.values()))
"""Settings dataclasses of all models."""

BATCH_MODELS: tuple[str, ...] = tuple(
    name for name, variant in ZOO.items() if variant.tuned("", {}).trains_in_batches
)
"""Models whose runs can be trained in batches as they are."""


def tuned_run(
    dataset: str,
    model: str,
    labels_per_class: int,
    *,
    protocol: str = "grand",
    split: int = 0,
    seed: int = 0,
    **overrides: Any,
) -> Run:
    """Return a run with tuned settings.

    Those of the diffusion models are GRAND's and GRAND++'s, those of the baselines are from their
    papers or official code where they have some for such data.

    Args:
        dataset: Name of the data set.
        model: One of :data:`MODELS`.
        labels_per_class: Labelled training nodes per class.
        protocol, split, seed: See :class:`grandpp.training.Run`.
        **overrides: Settings of any model to set; ``None`` keeps the tuned value, and a setting
            that this model does not have is left alone.

    Raises:
        ValueError: For an unknown model, a value out of range or a choice that the model does not
            take.
        TypeError: For a setting that no model has.
    """
    if model not in ZOO:
        raise ValueError(f"expected 'model' to be one of {', '.join(ZOO)} (got '{model}')")
    known = {name for variant in ZOO.values() for name in variant.choices}
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise TypeError(f"expected settings of a model (got {', '.join(unknown)})")
    return Run(
        dataset=dataset,
        model=model,
        labels_per_class=labels_per_class,
        protocol=protocol,
        split=split,
        seed=seed,
        settings=ZOO[model].tuned(dataset, overrides, labels_per_class),
    )

"""Models by name, and the settings that each one reads from ``settings.csv``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grandpp.layers import CGNNConv
from grandpp.models import (
    GCNII,
    AdaLanczosNet,
    ClusterClassifier,
    CorrectedClassifier,
    DiffusionClassifier,
    LabelSpreading,
    LanczosNet,
    LaplaceLearning,
    MoNet,
    NodeClassifier,
    PoissonLearning,
    PredictThenPropagate,
    SimplifiedGCN,
    gat,
    gcn,
    mlp,
    sage,
)
from grandpp.training.diffusion_models import BALLS, DIFFUSION_MODELS, build_diffusion, family_of

# A run, the size of the features and the number of classes. The run is typed loosely: the row, not
# the type, says which of its fields are set.
Builder = Callable[[Any, int, int], NodeClassifier]


@dataclass(frozen=True)
class ModelRow:
    """What runs need to know about a model.

    Args:
        build: From a run, the size of the features and the number of classes.
        fields: Fields of ``RunConfig`` that mean something to it, besides those that name the run;
            the others stay ``None``, whatever is asked for.
        settings: Its rows in ``settings.csv``. (default: ``""``, those of its own name)
    """

    build: Builder
    fields: frozenset[str]
    settings: str = ""


TRAINING = frozenset(
    {
        "optimizer",
        "lr",
        "weight_decay",
        "epochs",
        "patience",
        "features",
        "input_dropout",
        "cluster_labels",
    }
)
NETWORK = TRAINING | {"hidden", "dropout"}
SOLVER = frozenset({"time", "solver", "rtol", "atol", "step_size", "gradient"})
ATTENTION = frozenset({"heads", "attention_channels", "attention", "normalization"})


def _diffusion(name: str) -> ModelRow:
    family = family_of(name)
    own = {"layer_norm", "best_time"}
    own |= {"source", "source_gain"} if "++" in family else set()
    own |= {"learn_beta"} if family.startswith("grand") else set()
    own |= {"initial", "learn_gain"} if family.startswith("grand++") else set()
    own |= {"rewiring"} if name.endswith("-rw") else set()
    own |= {"gamma"} if family in BALLS else set()
    # Tuned settings are known for first-order diffusion alone.
    settings = "grand++" if "++" in family else "grand"
    return ModelRow(build_diffusion, NETWORK | SOLVER | ATTENTION | own, settings)


def _network(make: Callable[..., NodeClassifier], **names: str) -> ModelRow:
    """A network ``make(in, hidden, out, ...)``; ``names`` are its arguments and their fields."""
    names |= {"dropout": "dropout", "input_dropout": "input_dropout"}

    def build(c: Any, i: int, o: int) -> NodeClassifier:
        given = {argument: getattr(c, field) for argument, field in names.items()}
        return make(i, c.hidden, o, **given)

    return ModelRow(build, NETWORK | set(names.values()))


def _sgc(c: Any, i: int, o: int) -> NodeClassifier:
    return SimplifiedGCN(i, o, hops=c.hops, input_dropout=c.input_dropout)


def _cgnn(c: Any, i: int, o: int) -> NodeClassifier:
    conv = CGNNConv(c.hidden, alpha=c.alpha, **{name: getattr(c, name) for name in SOLVER})
    return DiffusionClassifier(i, o, conv, input_dropout=c.input_dropout, dropout=c.dropout)


def _corrected(c: Any, i: int, o: int) -> NodeClassifier:
    base = REGISTRY["mlp"].build(c, i, o)
    return CorrectedClassifier(base, o, hops=c.hops, alpha=c.alpha)


REGISTRY: dict[str, ModelRow] = {
    **{name: _diffusion(name) for name in DIFFUSION_MODELS},
    "gcn": _network(gcn, layers="layers"),
    "gat": _network(gat, layers="layers", heads="heads"),
    "mlp": _network(mlp, layers="layers"),
    "sage": _network(sage, layers="layers"),
    "monet": _network(MoNet, layers="layers", kernels="kernels"),
    "cgnn": ModelRow(_cgnn, NETWORK | SOLVER | {"alpha", "best_time"}),
    "lanczosnet": _network(LanczosNet, layers="layers", steps="lanczos_steps"),
    "adalanczosnet": _network(AdaLanczosNet, layers="layers", steps="lanczos_steps"),
    "appnp": _network(PredictThenPropagate, hops="hops", alpha="alpha"),
    "gcnii": _network(GCNII, layers="layers", alpha="alpha", theta="theta"),
    "sgc": ModelRow(_sgc, TRAINING | {"hops"}),
    "correct_and_smooth": ModelRow(_corrected, NETWORK | {"layers", "hops", "alpha"}),
    "label_propagation": ModelRow(
        lambda c, i, o: LabelSpreading(o, hops=c.hops, alpha=c.alpha), frozenset({"hops", "alpha"})
    ),
    "clusters": ModelRow(lambda c, i, o: ClusterClassifier(o), frozenset()),
    "laplace": ModelRow(lambda c, i, o: LaplaceLearning(o), frozenset()),
    "poisson": ModelRow(lambda c, i, o: PoissonLearning(o), frozenset()),
}

MODELS: tuple[str, ...] = tuple(REGISTRY)
"""Names of all models."""


def is_diffusion(model: str) -> bool:
    """Whether a model solves an equation on the graph, over a time that can be chosen."""
    return "time" in REGISTRY[model].fields

"""Settings of the baselines: trained networks, and models that take no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from grandpp.models import (
    GCNII,
    AdaLanczosNet,
    ClusterClassifier,
    CorrectedClassifier,
    LabelSpreading,
    LanczosNet,
    LaplaceLearning,
    MoNet,
    NodeModel,
    PoissonLearning,
    PredictThenPropagate,
    SimplifiedGCN,
    gat,
    gcn,
    mlp,
    sage,
)
from grandpp.training.settings import (
    Cost,
    ModelSettings,
    TrainedSettings,
    check_positive,
    check_shares,
    constant,
)

# Binary bags of words, as Shchur et al. (2018), "Pitfalls of Graph Neural Network Evaluation", and
# GRAND's official code have them: rows that sum to 1 have entries of a few thousandths there.
_BINARY: dict[str, Any] = {"features": "binary"}
BINARY_SETS: dict[str, dict[str, Any]] = dict.fromkeys(
    ("CoauthorCS", "Computers", "Photo"), _BINARY
)
"""Data sets whose features every trained model gets as binary ones."""

# What Shchur et al. found for GCN; so much dropout takes 200 epochs and more.
_SHCHUR: dict[str, Any] = {
    "input_dropout": 0.8, "dropout": 0.8, "weight_decay": 0.001, "epochs": 200,
}  # fmt: skip

_WIDE: dict[str, Any] = {"hidden": 64} | _SHCHUR


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(TrainedSettings):
    """A trained network with hidden channels.

    Args:
        hidden: Size of the hidden state.
        dropout: Dropout on hidden states.
    """

    hidden: int = 64
    dropout: float = 0.5

    tuned_rows: ClassVar[Mapping[str, Mapping[str, Any]]] = BINARY_SETS

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "hidden")
        check_shares(self, "dropout")
        super().__post_init__()

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return Cost(channels=self.hidden)

    @property
    def dropouts(self) -> dict[str, Any]:
        """Both rates of dropout, as arguments of a model."""
        return {"input_dropout": self.input_dropout, "dropout": self.dropout}


@dataclass(frozen=True, kw_only=True)
class LayeredSettings(NetworkSettings):
    """A network of several layers, such as GCN, GraphSAGE and MLP.

    Args:
        network: Called as ``network(in, hidden, out, layers=..., dropout=..., input_dropout=...)``.
        layers: Number of layers.
    """

    network: Callable[..., NodeModel] = constant()
    layers: int = 2

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "layers")
        super().__post_init__()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the network."""
        sizes = (in_channels, self.hidden, out_channels)
        return self.network(*sizes, layers=self.layers, **self.own_arguments(), **self.dropouts)

    def own_arguments(self) -> dict[str, Any]:
        """Arguments that other networks do not have."""
        return {}

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return super().cost()._replace(depth=self.layers)


@dataclass(frozen=True, kw_only=True)
class GCNSettings(LayeredSettings):
    """GCN."""

    network: Callable[..., NodeModel] = constant(gcn)

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = {
        "CiteSeer": _SHCHUR,
        "PubMed": _BINARY,
        "CoauthorCS": _BINARY | _SHCHUR,
        "Computers": _BINARY | _SHCHUR | {"epochs": 300},
        "Photo": _BINARY | _SHCHUR,
    }


@dataclass(frozen=True, kw_only=True)
class SAGESettings(LayeredSettings):
    """GraphSAGE with mean aggregation."""

    network: Callable[..., NodeModel] = constant(sage)

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = {
        "Cora": _SHCHUR,
        "CiteSeer": _SHCHUR,
        "PubMed": _BINARY,
        "CoauthorCS": _BINARY | {"weight_decay": 0.005},
        "Computers": _BINARY,
        "Photo": _BINARY,
    }


@dataclass(frozen=True, kw_only=True)
class GATSettings(LayeredSettings):
    """GAT with the settings of its paper; ``hidden`` is that of all heads together."""

    network: Callable[..., NodeModel] = constant(gat)
    lr: float = 0.005
    input_dropout: float = 0.6
    dropout: float = 0.6
    epochs: int = 200
    heads: int = 8

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = {"PubMed": _BINARY} | BINARY_SETS

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "heads")
        if self.hidden % self.heads:
            raise ValueError(
                "expected 'hidden' to be a multiple of 'heads' "
                f"(got hidden={self.hidden}, heads={self.heads})"
            )
        super().__post_init__()

    def own_arguments(self) -> dict[str, Any]:
        """The number of heads."""
        return {"heads": self.heads}


@dataclass(frozen=True, kw_only=True)
class MoNetSettings(LayeredSettings):
    """MoNet.

    Args:
        kernels: Number of Gaussians.
        normalize: Divide the Gaussians of the edges to a node by their sum.
    """

    network: Callable[..., NodeModel] = constant(MoNet)
    hidden: int = 16
    weight_decay: float = 0.00005
    epochs: int = 200
    kernels: int = 3
    normalize: bool = True

    # On bags of words with their ones, larger steps leave hidden channels that are never active;
    # those of Shchur et al. do not, with a smaller decay, for ours acts on both layers.
    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = {
        "Cora": _WIDE,
        "CiteSeer": _WIDE,
        "PubMed": _BINARY | _WIDE,
    } | dict.fromkeys(
        BINARY_SETS,
        _BINARY | {
            "hidden": 32, "kernels": 2, "lr": 0.003, "weight_decay": 0.01, "input_dropout": 0.7,
            "dropout": 0.7, "epochs": 200,
        },
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "kernels")
        super().__post_init__()

    def own_arguments(self) -> dict[str, Any]:
        """The Gaussians."""
        return {"kernels": self.kernels, "normalize": self.normalize}


@dataclass(frozen=True, kw_only=True)
class LanczosSettings(LayeredSettings):
    """LanczosNet and AdaLanczosNet.

    Args:
        lanczos_steps: Size of the Krylov space.
    """

    network: type[LanczosNet] | type[AdaLanczosNet] = constant(LanczosNet)
    weight_decay: float = 0.005
    lanczos_steps: int = 20

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "lanczos_steps")
        super().__post_init__()

    def own_arguments(self) -> dict[str, Any]:
        """The size of the Krylov space."""
        return {"steps": self.lanczos_steps}


@dataclass(frozen=True, kw_only=True)
class GCNIISettings(LayeredSettings):
    """GCNII, with the settings of its official code.

    Args:
        alpha: Share of the initial state in every layer.
        theta: Strength of the layers' maps.
    """

    network: Callable[..., NodeModel] = constant(GCNII)
    input_dropout: float = 0.6
    dropout: float = 0.6
    epochs: int = 200
    layers: int = 16
    alpha: float = 0.1
    theta: float = 0.5

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = BINARY_SETS | {
        "Cora": {"layers": 64},
        "CiteSeer": {
            "hidden": 256, "layers": 32, "theta": 0.6, "input_dropout": 0.7, "dropout": 0.7,
        },
        "PubMed": {"hidden": 256, "theta": 0.4, "input_dropout": 0.5, "dropout": 0.5},
    }  # fmt: skip

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "theta")
        _check_fraction("alpha", self.alpha)
        super().__post_init__()

    def own_arguments(self) -> dict[str, Any]:
        """The two strengths."""
        return {"alpha": self.alpha, "theta": self.theta}


@dataclass(frozen=True, kw_only=True)
class APPNPSettings(NetworkSettings):
    """APPNP.

    Args:
        hops: Number of propagations along edges.
        alpha: Teleport probability.
    """

    epochs: int = 200
    hops: int = 10
    alpha: float = 0.1

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "hops")
        _check_fraction("alpha", self.alpha)
        super().__post_init__()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the network."""
        sizes = (in_channels, self.hidden, out_channels)
        return PredictThenPropagate(*sizes, hops=self.hops, alpha=self.alpha, **self.dropouts)

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return super().cost()._replace(depth=self.hops)


@dataclass(frozen=True, kw_only=True)
class SGCSettings(TrainedSettings):
    """SGC, a linear model on features spread over the graph.

    Args:
        hops: Number of propagations along edges.
    """

    lr: float = 0.2
    input_dropout: float = 0.0
    hops: int = 2

    tuned_rows: ClassVar[Mapping[str, Mapping[str, Any]]] = BINARY_SETS

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "hops")
        super().__post_init__()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the model."""
        return SimplifiedGCN(
            in_channels, out_channels, hops=self.hops, input_dropout=self.input_dropout
        )

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return Cost(depth=self.hops)


@dataclass(frozen=True, kw_only=True)
class CorrectAndSmoothSettings(NetworkSettings):
    """An MLP, and Correct and Smooth behind it.

    Args:
        layers: Layers of the MLP.
        hops: Number of propagations along edges.
        alpha: Weight of the neighbours against the labels.
    """

    layers: int = 2
    hops: int = 50
    alpha: float = 0.8

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "layers", "hops")
        _check_fraction("alpha", self.alpha)
        super().__post_init__()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the MLP and what follows it."""
        sizes = (in_channels, self.hidden, out_channels)
        base = mlp(*sizes, layers=self.layers, **self.dropouts)
        return CorrectedClassifier(base, out_channels, hops=self.hops, alpha=self.alpha)

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        return super().cost()._replace(depth=self.layers)


@dataclass(frozen=True, kw_only=True)
class LabelPropagationSettings(ModelSettings):
    """Label propagation, without features and without training.

    Args:
        hops: Number of propagations along edges.
        alpha: Weight of the neighbours against the labels.
    """

    hops: int = 50
    alpha: float = 0.9

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "hops")
        _check_fraction("alpha", self.alpha)
        super().__post_init__()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the model."""
        return LabelSpreading(out_channels, hops=self.hops, alpha=self.alpha)

    def cost(self) -> Cost:
        """Estimate the cost of the model."""
        return Cost(depth=self.hops)


@dataclass(frozen=True, kw_only=True)
class PlainSettings(ModelSettings):
    """A model without any choice.

    Args:
        kind: Called with the number of classes.
    """

    kind: type[ClusterClassifier] | type[LaplaceLearning] | type[PoissonLearning] = constant()

    def build(self, in_channels: int, out_channels: int) -> NodeModel:
        """Build the model."""
        return self.kind(out_channels)


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"expected '{name}' in [0, 1] (got {value})")

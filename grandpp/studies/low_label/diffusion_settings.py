"""Settings of models that solve an equation on the graph: GRAND, GRAND++, momentum, CGNN."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from grandpp.data import REWIRINGS
from grandpp.fields import ATTENTIONS, DEFAULT_GAIN, INITIALS, NORMALIZATIONS, SOURCES
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.models import DiffusionClassifier
from grandpp.solvers import SOLVER_NAMES, resolve_solver
from grandpp.studies.low_label.network_settings import BINARY_SETS, NetworkSettings
from grandpp.training.options import option
from grandpp.training.settings import (
    Cost,
    ModelSettings,
    check_not_negative,
    check_one_of,
    check_positive,
    constant,
)

_COLUMNS = (
    "hidden", "heads", "attention_channels", "attention", "normalization", "time", "optimizer",
    "lr", "weight_decay", "input_dropout", "dropout", "epochs",
)  # fmt: skip
# On Computers binary features are no better on validation nodes, and epochs take twice as long.
_FEATURES = {name: row for name, row in BINARY_SETS.items() if name != "Computers"}
_GRAND_ROWS: dict[str, dict[str, Any]] = {
    name: dict(zip(_COLUMNS, row, strict=True)) | _FEATURES.get(name, {})
    for name, row in {
        "CiteSeer": (80, 8, 32, "exp_kernel", "squareplus", 7.8741, "Adam",
                     0.00864, 0.1, 0.68, 0.749, 250),
        "PubMed": (128, 1, 16, "cosine", "squareplus", 12.9423, "Adamax",
                   0.01467, 0.00182, 0.5, 0.072, 600),
        "CoauthorCS": (16, 4, 8, "scaled_dot", "squareplus", 3.249, "RMSprop",
                       0.000934, 0.00474, 0.528, 0.686, 250),
        "Computers": (128, 4, 64, "scaled_dot", "softmax", 3.5824, "Adam",
                      0.00353, 0.00767, 0.597, 0.087, 100),
        "Photo": (64, 4, 64, "pearson", "softmax", 3.676, "Adam",
                  0.00556, 0.00471, 0.429, 0.465, 100),
        "ogbn-arxiv": (162, 2, 32, "scaled_dot", "softmax", 3.676, "RMSprop",
                       0.00545, 0.0, 0.0, 0.116, 100),
        "KarateClub": (16, 4, 16, "scaled_dot", "softmax", 4.0, "Adam",
                       0.01, 0.0005, 0.0, 0.0, 100),
    }.items()
}  # fmt: skip
# The tuned settings of GRAND++ are those of GRAND at other times.
_SOURCE_TIMES = {"CiteSeer": 8.0, "PubMed": 13.0, "CoauthorCS": 4.0, "Computers": 3.2, "Photo": 3.6}
_SOURCE_ROWS = {
    name: row | {"time": _SOURCE_TIMES.get(name, row["time"])} for name, row in _GRAND_ROWS.items()
}
_SOURCE_TIME = 18.3

# A run ends at a finite time, so the solver of the limit at infinity is left out.
_SOLVERS = tuple(name for name in SOLVER_NAMES if name != "steady")


@dataclass(frozen=True, kw_only=True)
class EquationSettings(NetworkSettings):
    """The equation and its solver.

    Args:
        time: Integration time T.
        solver: Name of the solver.
        rtol, atol, step_size: Accuracy of the solver. (default: ``None``, its own)
        gradient: How gradients pass the solver. (default: ``None``, its own)
        best_time: Also note the accuracy at the best time of the trajectory to 3 T, as GRAND's
            official code does. (default: ``None``, that at T alone)
    """

    time: float = option("integration time T", default=18.2948, shown_default="tuned per data set")
    solver: str = option(
        "one of {choices}",
        default="auto",
        choices=_SOLVERS,
        metavar="NAME",
        shown_default="exact for linear models, auto for nonlinear ones",
    )
    rtol: float | None = None
    atol: float | None = None
    step_size: float | None = None
    gradient: str | None = None
    best_time: bool | None = option(
        "also follow the trajectory of every epoch to 3 T and report the test accuracy at the "
        "epoch and time with the best validation accuracy, nearly as GRAND's code does; takes two "
        "to four times as long; with --batch-splits trajectories are computed run by run",
        default=None,
        shown_default="only T",
    )

    def __post_init__(self) -> None:
        """Check every choice."""
        check_positive(self, "rtol", "atol", "step_size")
        check_not_negative(self, "time")
        if self.best_time and not self.time > 0:
            raise ValueError(f"expected 'time' to be positive for best_time (got {self.time})")
        check_one_of("solver", self.solver, _SOLVERS)
        resolve_solver(**self.solver_arguments(given_alone=True))
        super().__post_init__()

    def solver_arguments(self, given_alone: bool = False) -> dict[str, Any]:
        """Arguments of a layer's solver.

        Args:
            given_alone: Leave out what is ``None``. (default: ``False``)
        """
        names = ("solver", "rtol", "atol", "step_size", "gradient")
        arguments = {name: getattr(self, name) for name in names}
        return {k: v for k, v in arguments.items() if not given_alone or v is not None}

    @abstractmethod
    def conv(self) -> GRANDConv | GRANDPPConv | HeavyBallConv | CGNNConv:
        """Build the layer."""

    def build(self, in_channels: int, out_channels: int) -> DiffusionClassifier:
        """Build an encoder, the layer and a decoder."""
        return DiffusionClassifier(in_channels, out_channels, self.conv(), **self.dropouts)

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        steps = Cost(self.hidden, self.time or 2)
        if self.solver == "exact":
            return steps
        # Every evaluation computes new weights and is kept for the gradient.
        return steps._replace(work=20, arrays=64)


@dataclass(frozen=True, kw_only=True)
class CGNNSettings(EquationSettings):
    """The continuous GNN.

    Args:
        alpha: Rate of the diffusion.
    """

    hidden: int = 16
    time: float = 12.1
    optimizer: str = "RMSprop"
    lr: float = 0.0047
    dropout: float = 0.0
    epochs: int = 400
    alpha: float = 0.918

    def __post_init__(self) -> None:
        """Check every choice."""
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"expected 'alpha' in [0, 1] (got {self.alpha})")
        super().__post_init__()

    def conv(self) -> CGNNConv:
        """Build the layer."""
        return CGNNConv(self.hidden, alpha=self.alpha, time=self.time, **self.solver_arguments())


@dataclass(frozen=True, kw_only=True)
class DiffusionSettings(EquationSettings):
    """Diffusion along attention weights, with GRAND's tuned settings.

    Args:
        mode: ``"linear"``, attention at x(0), or ``"nonlinear"``, at x(t).
        heads, attention_channels, attention, normalization: See :class:`grandpp.layers.GRANDConv`.
        layer_norm: Normalise the state before the decoder.
        centred: Encode the difference of the features from their mean.
            (default: ``None``, the features)
        estimate_shares: Adjust the logits to the shares of the classes among the nodes, see
            :func:`grandpp.models.adjust_to_shares`. ``False`` is stored as ``None``, so that runs
            without it keep their hash. (default: ``None``, no)
    """

    mode: str = constant("nonlinear")
    hidden: int = 80
    heads: int = 8
    attention_channels: int = 128
    attention: str = "scaled_dot"
    normalization: str = "squareplus"
    optimizer: str = "Adamax"
    lr: float = 0.0229
    weight_decay: float = 0.00508
    dropout: float = 0.047
    layer_norm: bool = option(
        "normalise the diffused state before the decoder, which GRAND's code does not",
        default=True,
        negatable=True,
        shown_default="yes",
    )
    centred: bool | None = option(
        "subtract the mean of the features before encoding",
        default=None,
        shown_default="yes for grand++-views, else no",
    )
    estimate_shares: bool | None = option(
        "adjust the predictions to the shares of the classes among the nodes, which are estimated "
        "from the predictions; of use where the labels do not have these shares",
        default=None,
        negatable=True,
        shown_default="yes for grand++-views from 20 labels per class on, else no",
    )

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = _GRAND_ROWS

    def __post_init__(self) -> None:
        """Check every choice."""
        if self.estimate_shares is False:
            object.__setattr__(self, "estimate_shares", None)
        check_positive(self, "heads", "attention_channels")
        if self.attention_channels % self.heads:
            raise ValueError(
                "expected 'attention_channels' to be a multiple of 'heads' "
                f"(got attention_channels={self.attention_channels}, heads={self.heads})"
            )
        check_one_of("attention", self.attention, ATTENTIONS)
        check_one_of("normalization", self.normalization, NORMALIZATIONS)
        if self.solver == "exact" and self.mode != "linear":
            raise ValueError(
                f"expected mode='linear' for solver='exact' (got mode='{self.mode}'): "
                "only linear diffusion has such a solution"
            )
        super().__post_init__()

    def layer_arguments(self) -> dict[str, Any]:
        """Arguments of every layer of diffusion."""
        names = ("time", "mode", "attention", "heads", "attention_channels", "normalization")
        return {name: getattr(self, name) for name in names} | self.solver_arguments()

    def build(self, in_channels: int, out_channels: int) -> DiffusionClassifier:
        """Build an encoder, the layer and a decoder."""
        return DiffusionClassifier(
            in_channels,
            out_channels,
            self.conv(),
            layer_norm=self.layer_norm,
            centred=bool(self.centred),
            estimate_shares=bool(self.estimate_shares),
            **self.dropouts,
        )


@dataclass(frozen=True, kw_only=True)
class GRANDSettings(DiffusionSettings):
    """GRAND.

    Args:
        learn_beta: Add beta x(0) to the diffusion, with learned beta.
            (default: ``None``, no such term)
    """

    learn_beta: bool | None = option(
        "add beta x(0) to the diffusion of grand and grand++ models, with learned beta, as GRAND's "
        "tuned settings do",
        default=None,
    )

    def conv(self) -> GRANDConv | GRANDPPConv:
        """Build the layer."""
        return GRANDConv(self.hidden, learn_beta=bool(self.learn_beta), **self.layer_arguments())

    def cost(self) -> Cost:
        """Estimate the cost of a training step."""
        estimate = super().cost()
        # Exponentials of frozen weights keep few states.
        return estimate._replace(arrays=32) if self.solver == "auto" else estimate

    @property
    def trains_in_batches(self) -> bool:
        """Linear diffusion with the exact solver does."""
        return self.mode == "linear" and self.solver == "exact"


@dataclass(frozen=True, kw_only=True)
class SourceSettings(DiffusionSettings):
    """A source term at the labelled nodes.

    Args:
        source, source_gain: See :class:`grandpp.layers.GRANDPPConv`.
    """

    time: float = _SOURCE_TIME
    source: str = option("GRAND++ source term", default="balanced", choices=SOURCES)
    source_gain: float = option("factor of the source", default=DEFAULT_GAIN)

    tuned_rows: ClassVar[dict[str, dict[str, Any]]] = _SOURCE_ROWS

    def __post_init__(self) -> None:
        """Check every choice."""
        check_one_of("source", self.source, SOURCES)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class GRANDPPSettings(SourceSettings, GRANDSettings):
    """GRAND++.

    Args:
        initial: Initial state, see :class:`grandpp.layers.GRANDPPConv`.
        learn_gain: Learn the factor of the source, from ``source_gain`` on.
            (default: ``None``, it stays)
    """

    initial: str = option("GRAND++ initial state", default="features", choices=INITIALS)
    learn_gain: bool | None = option(
        "learn the factor of the source of grand++ models; it starts at --source-gain", default=None
    )

    def __post_init__(self) -> None:
        """Check every choice."""
        check_one_of("initial", self.initial, INITIALS)
        super().__post_init__()

    def conv(self) -> GRANDPPConv:
        """Build the layer."""
        return GRANDPPConv(
            self.hidden,
            source=self.source,
            source_gain=self.source_gain,
            initial=self.initial,
            learn_gain=bool(self.learn_gain),
            learn_beta=bool(self.learn_beta),
            **self.layer_arguments(),
        )


@dataclass(frozen=True, kw_only=True)
class RewiredSettings(ModelSettings):
    """Rewiring of the graph.

    Args:
        rewiring: A kind of :func:`grandpp.data.rewire`.
    """

    rewiring: str = option(
        "how models whose name ends in -rw rewire the graph", default="gdc", choices=REWIRINGS
    )

    def __post_init__(self) -> None:
        """Check every choice."""
        check_one_of("rewiring", self.rewiring, REWIRINGS)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class RewiredGRANDSettings(RewiredSettings, GRANDSettings):
    """GRAND on a rewired graph."""


@dataclass(frozen=True, kw_only=True)
class RewiredGRANDPPSettings(RewiredSettings, GRANDPPSettings):
    """GRAND++ on a rewired graph."""


@dataclass(frozen=True, kw_only=True)
class MomentumSettings(DiffusionSettings):
    """Diffusion with momentum.

    Args:
        kind: Equation of motion, see :class:`grandpp.layers.HeavyBallConv`.
        gamma: Fixed damping. (default: ``None``, learned)
    """

    kind: str = constant("hbnode")
    gamma: float | None = option(
        "fixed damping of heavy balls", default=None, shown_default="learned"
    )

    def __post_init__(self) -> None:
        """Check every choice."""
        check_not_negative(self, "gamma")
        if self.gamma is not None and self.kind == "adamnode":
            raise ValueError(
                f"expected no 'gamma' for kind='{self.kind}', which has none (got {self.gamma})"
            )
        super().__post_init__()

    def conv(self) -> HeavyBallConv:
        """Build the layer."""
        return HeavyBallConv(
            self.hidden,
            kind=self.kind,
            gamma=self.gamma,
            **self.source_arguments(),
            **self.layer_arguments(),
        )

    def source_arguments(self) -> dict[str, Any]:
        """Arguments of a source; there is none."""
        return {}


@dataclass(frozen=True, kw_only=True)
class MomentumSourceSettings(SourceSettings, MomentumSettings):
    """Diffusion with momentum and a source."""

    def source_arguments(self) -> dict[str, Any]:
        """Arguments of the source."""
        return {"source": self.source, "source_gain": self.source_gain}

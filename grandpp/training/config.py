"""The configuration of a run as a frozen dataclass, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

OPTIMIZERS: tuple[str, ...] = ("Adam", "Adamax", "RMSprop")

FEATURES: tuple[str, ...] = ("rows", "binary")
"""What a model gets of the node features, see :class:`RunConfig`."""


@dataclass(frozen=True)
class RunConfig:
    """One training run of one model on one split.

    Build one by :func:`grandpp.training.tuned_config`. A field that means nothing to the model
    (see :mod:`grandpp.training.registry`) is ``None``; a new field takes ``None`` as its default,
    so that the hashes of all other runs stay what they were.

    Args:
        dataset: Name of the data set.
        model: One of :data:`grandpp.training.MODELS`.
        labels_per_class: Labelled training nodes per class.
        protocol: How the other nodes are split, see :func:`grandpp.data.low_label_split`.
        split: Seed of the split.
        seed: Seed of initialisation and dropout.
        hidden, heads, attention_channels, attention, normalization: See
            :class:`grandpp.layers.GRANDConv`.
        time: Integration time T.
        optimizer, lr, weight_decay: Optimiser of ``torch.optim`` and its settings.
        input_dropout, dropout: Dropout on features and on hidden states.
        epochs: Training epochs; 0 for models that take no training by gradient.
        patience: Epochs without a better validation accuracy that end training.
        solver: Solver name.
        rtol, atol, step_size: Accuracy of the solver (``None``: its own default).
        gradient: How gradients pass the solver (``None``: its own default).
        source, source_gain, initial: See :class:`grandpp.layers.GRANDPPConv`.
        gamma: Fixed damping of a heavy ball (``None``: learned).
        layer_norm: Normalise the state before the decoder.
        layers: Number of layers.
        hops: Number of propagations along edges.
        alpha: Teleport probability (``appnp``), initial residual (``gcnii``), rate (``cgnn``), or
            weight of the neighbours against the labels (``label_propagation``,
            ``correct_and_smooth``).
        theta: Strength of the layers' maps (``gcnii``).
        kernels: Number of Gaussians (``monet``).
        lanczos_steps: Size of the Krylov space (``lanczosnet``, ``adalanczosnet``).
        rewiring: Other edges to diffuse along, see :func:`grandpp.data.rewire`.
        cluster_labels: Train on seeded clusters too, which count as this many labelled nodes per
            class, see :func:`grandpp.training.targets.clustered_targets`.
        learn_beta: Add beta x(0) to the diffusion, with learned beta (``None``: no such term).
        learn_gain: Learn the factor of the source, from ``source_gain`` on (``None``: it stays).
        features: ``"rows"``, as loaded: rows that sum to 1; ``"binary"``: 1 where an entry is not
            zero, what the official GRAND code diffuses (``None``: ``"rows"``).
        best_time: Also note the accuracy at the best time of the trajectory to 3 T, as GRAND's
            official code does (``None``: that at T alone).
    """

    dataset: str
    model: str
    labels_per_class: int
    protocol: str
    split: int
    seed: int
    hidden: int | None = None
    heads: int | None = None
    attention_channels: int | None = None
    attention: str | None = None
    normalization: str | None = None
    time: float | None = None
    optimizer: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    input_dropout: float | None = None
    dropout: float | None = None
    epochs: int = 0
    solver: str | None = None
    rtol: float | None = None
    atol: float | None = None
    step_size: float | None = None
    gradient: str | None = None
    source: str | None = None
    source_gain: float | None = None
    initial: str | None = None
    gamma: float | None = None
    layer_norm: bool | None = None
    layers: int | None = None
    hops: int | None = None
    alpha: float | None = None
    theta: float | None = None
    kernels: int | None = None
    lanczos_steps: int | None = None
    patience: int | None = None
    rewiring: str | None = None
    cluster_labels: float | None = None
    features: str | None = None
    learn_beta: bool | None = None
    learn_gain: bool | None = None
    best_time: bool | None = None

    @property
    def config_hash(self) -> str:
        """Twelve hex digits that name every choice but split and seed; ``None`` is no choice."""
        choices = {k: v for k, v in asdict(self).items() if v is not None}
        text = json.dumps(
            {k: v for k, v in choices.items() if k not in ("split", "seed")}, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs the same run."""
        return (
            self.dataset,
            self.labels_per_class,
            self.protocol,
            self.model,
            self.split,
            self.seed,
            self.config_hash,
        )


_COUNTS = (
    "labels_per_class",
    "patience",
    "hidden",
    "heads",
    "layers",
    "hops",
    "kernels",
    "lanczos_steps",
)
_POSITIVE = ("lr", "rtol", "atol", "step_size", "theta")
_NOT_NEGATIVE = ("time", "weight_decay", "cluster_labels")
_SHARES = ("input_dropout", "dropout")


def check_config(config: RunConfig) -> None:
    """Check the numbers of a configuration; the model checks the rest when it is built.

    Raises:
        ValueError: If a value is out of range.
    """
    # A model that trains has a learning rate; without an epoch it would report its random start.
    trained = ("epochs",) if config.lr is not None else ()
    for name in (*_COUNTS, *_POSITIVE, *trained):
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"expected '{name}' to be positive (got {value})")
    for name in _NOT_NEGATIVE:
        value = getattr(config, name)
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError(f"expected '{name}' to be finite and not negative (got {value})")
    for name in _SHARES:
        value = getattr(config, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"expected '{name}' in [0, 1) (got {value})")
    for name, value in asdict(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"expected '{name}' to be finite (got {value})")
    if config.optimizer not in (None, *OPTIMIZERS):
        raise ValueError(
            f"expected 'optimizer' to be one of {', '.join(OPTIMIZERS)} (got '{config.optimizer}')"
        )
    if config.features not in (None, *FEATURES):
        raise ValueError(
            f"expected 'features' to be one of {', '.join(FEATURES)} (got '{config.features}')"
        )


def with_run(config: RunConfig, split: int, seed: int) -> RunConfig:
    """Return the same configuration for another split and seed."""
    return replace(config, split=split, seed=seed)

"""What a run is: one frozen record of every choice, its hash, and the table of tuned settings."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

from grandpp.fields import DEFAULT_GAIN

MODELS: tuple[str, ...] = (
    "grand-l",
    "grand-nl",
    "grand++-l",
    "grand++-nl",
    "hb-l",
    "hb-nl",
    "hb++-l",
    "hb++-nl",
    "ghb-l",
    "ghb-nl",
    "wave-l",
    "adam-l",
    "adam-nl",
    "gcn",
    "gat",
    "mlp",
)
# Equations of motion by the first part of a model's name; the part after it is the mode.
BALLS: dict[str, str] = {
    "hb": "heavy_ball",
    "hb++": "heavy_ball",
    "ghb": "generalized",
    "wave": "wave",
    "adam": "adam",
}
OPTIMIZERS: tuple[str, ...] = ("Adam", "Adamax", "RMSprop")


@dataclass(frozen=True)
class RunConfig:
    """One training run of one model on one split.

    The hyper-parameters come from the table ``settings.csv`` (GRAND's tuned settings; the row
    ``*`` serves data sets without one of their own), see :func:`tuned_config`.

    Args:
        dataset: Name of the data set.
        model: One of :data:`MODELS`.
        labels_per_class: Labelled training nodes per class.
        protocol: How the other nodes are split, see :func:`grandpp.data.low_label_split`.
        split: Seed of the split.
        seed: Seed of initialisation and dropout.
        hidden, heads, attention_channels, attention, normalization: See
            :class:`grandpp.layers.GRANDConv` (``None`` where a model has no such thing).
        time: Integration time T.
        solver: Solver name.
        rtol, atol, step_size: Accuracy of the solver (``None``: its own default).
        gradient: How gradients pass the solver (``None``: its own default).
        source, source_gain, initial: See :class:`grandpp.layers.GRANDPPConv`.
        gamma: Fixed damping of a heavy ball (``None``: learned).
        layer_norm: Normalise the state before the decoder.
        optimizer, lr, weight_decay: Optimiser of ``torch.optim`` and its settings.
        input_dropout, dropout: Dropout on features and on the diffused state.
        epochs, patience: Training epochs; how many of them without a better validation end it.
    """

    dataset: str
    model: str
    labels_per_class: int
    protocol: str
    split: int
    seed: int
    hidden: int
    heads: int
    attention_channels: int | None
    attention: str | None
    normalization: str | None
    time: float | None
    optimizer: str
    lr: float
    weight_decay: float
    input_dropout: float
    dropout: float
    epochs: int
    solver: str | None = None
    rtol: float | None = None
    atol: float | None = None
    step_size: float | None = None
    gradient: str | None = None
    source: str | None = None
    source_gain: float | None = None
    initial: str | None = None
    gamma: float | None = None
    layer_norm: bool = True
    patience: int | None = None

    @property
    def config_hash(self) -> str:
        """Twelve hex digits that name every choice but split and seed."""
        choices = {k: v for k, v in asdict(self).items() if k not in ("split", "seed")}
        text = json.dumps(choices, sort_keys=True)
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


def tuned_config(
    dataset: str,
    model: str,
    labels_per_class: int,
    *,
    protocol: str = "grand",
    split: int = 0,
    seed: int = 0,
    **overrides: Any,
) -> RunConfig:
    """Build a run from the table of tuned settings.

    Args:
        dataset: Name of the data set.
        model: One of :data:`MODELS`.
        labels_per_class: Labelled training nodes per class.
        protocol, split, seed: See :class:`RunConfig`.
        **overrides: Fields of :class:`RunConfig` to set; ``None`` keeps the table's value, and
            fields that mean nothing to the model are left alone.

    Raises:
        ValueError: For an unknown model or a value out of range.
        TypeError: For a field that does not exist.
    """
    if model not in MODELS:
        raise ValueError(f"expected 'model' to be one of {', '.join(MODELS)} (got '{model}')")
    unknown = sorted(set(overrides) - {f.name for f in fields(RunConfig)})
    if unknown:
        raise TypeError(f"expected fields of RunConfig (got {', '.join(unknown)})")
    family = family_of(model)
    if family in BALLS:  # tuned settings are known for first-order diffusion alone
        family = "grand++" if "++" in family else "grand"
    table = _settings_table()
    row = table.get((family, dataset)) or table[(family, "*")]
    values = dict(row, **_defaults(model))
    foreign = _foreign_fields(model)
    values.update({k: v for k, v in overrides.items() if v is not None and k not in foreign})
    config = RunConfig(
        dataset=dataset,
        model=model,
        labels_per_class=labels_per_class,
        protocol=protocol,
        split=split,
        seed=seed,
        **values,
    )
    _check(config)
    return config


def family_of(model: str) -> str:
    """A model's name without its mode, for example ``"grand++"`` of ``"grand++-nl"``."""
    return model.removesuffix("-l").removesuffix("-nl")


def is_diffusion(model: str) -> bool:
    """Whether a model solves an equation on the graph."""
    family = family_of(model)
    return family.startswith("grand") or family in BALLS


def _foreign_fields(model: str) -> set[str]:
    """Fields that mean nothing to a model: setting them must not make it another run."""
    of_source = {"source", "source_gain"} if "++" not in model else set()
    of_source |= set() if model.startswith("grand++") else {"initial"}
    of_source |= set() if family_of(model) in BALLS else {"gamma"}
    if is_diffusion(model):
        return of_source
    of_solver = {"time", "solver", "rtol", "atol", "step_size", "gradient"}
    of_attention = {"attention", "attention_channels", "normalization"}
    return of_source | of_solver | of_attention | {"input_dropout", "layer_norm"}


def _defaults(model: str) -> dict[str, Any]:
    """Settings that hang on the kind of model, not on the data set."""
    diffusion, with_source = is_diffusion(model), "++" in model
    exact = model.startswith("grand") and model.endswith("-l")
    solver = ("exact" if exact else "auto") if diffusion else None
    return {
        "solver": solver,
        "source": "balanced" if with_source else None,
        "source_gain": DEFAULT_GAIN if with_source else None,
        "initial": "features" if model.startswith("grand++") else None,
        "layer_norm": diffusion,
    }


@cache
def _settings_table() -> dict[tuple[str, str], dict[str, Any]]:
    types = {f.name: str(f.type) for f in fields(RunConfig)}
    text = files("grandpp.experiment").joinpath("settings.csv").read_text(encoding="utf-8")
    table = {}
    for row in csv.DictReader(text.splitlines()):
        key = (row.pop("model"), row.pop("dataset"))
        table[key] = {name: _parse(value, types[name]) for name, value in row.items()}
    return table


def _parse(value: str, kind: str) -> Any:
    if value == "":
        return None
    if kind.startswith("int"):
        return int(value)
    return float(value) if kind.startswith("float") else value


def _check(config: RunConfig) -> None:
    positive = ("labels_per_class", "hidden", "heads", "lr", "epochs", "rtol", "atol", "step_size")
    for name in positive:
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"expected '{name}' to be positive (got {value})")
    for name in ("time", "weight_decay"):
        value = getattr(config, name)
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError(f"expected '{name}' to be finite and not negative (got {value})")
    for name in ("input_dropout", "dropout"):
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"expected '{name}' in [0, 1) (got {getattr(config, name)})")
    if config.optimizer not in OPTIMIZERS:
        raise ValueError(
            f"expected 'optimizer' to be one of {', '.join(OPTIMIZERS)} (got '{config.optimizer}')"
        )


def with_run(config: RunConfig, split: int, seed: int) -> RunConfig:
    """Return the same configuration for another split and seed."""
    return replace(config, split=split, seed=seed)

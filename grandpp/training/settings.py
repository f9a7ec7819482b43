"""Tuned settings from ``settings.csv``, and configurations built from them."""

from __future__ import annotations

import csv
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any

from grandpp.fields import DEFAULT_GAIN
from grandpp.training.config import RunConfig, check_config
from grandpp.training.registry import MODELS, REGISTRY, is_diffusion

CLUSTER_LABELS = 1.0
"""Chosen on validation nodes, see the README."""


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
    """Build a run from the table ``settings.csv``.

    It holds GRAND's tuned settings, and for the baselines those of their papers or official code
    where they have some for such data; the row ``*`` serves data sets without one of their own.

    Args:
        dataset: Name of the data set.
        model: One of :data:`grandpp.training.MODELS`.
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
    row = REGISTRY[model]
    table, name = settings_table(), row.settings or model
    values = dict(table.get((name, dataset)) or table[(name, "*")], **_defaults(model))
    values.update({k: v for k, v in overrides.items() if v is not None})
    config = RunConfig(
        dataset=dataset,
        model=model,
        labels_per_class=labels_per_class,
        protocol=protocol,
        split=split,
        seed=seed,
        **{k: v for k, v in values.items() if k in row.fields},
    )
    check_config(config)
    return config


def _defaults(model: str) -> dict[str, Any]:
    """Settings that hang on the kind of model, not on the data set."""
    exact = model.startswith("grand") and model.endswith("-l")
    values = {"layer_norm": True, "source": "balanced", "source_gain": DEFAULT_GAIN}
    values["initial"], values["rewiring"] = "features", "gdc"
    if "-cluster" in model:
        values["cluster_labels"] = CLUSTER_LABELS
    return values | ({"solver": "exact" if exact else "auto"} if is_diffusion(model) else {})


@cache
def settings_table() -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of ``settings.csv`` by model and data set; an empty cell is ``None``."""
    types = {f.name: str(f.type) for f in fields(RunConfig)}
    text = files("grandpp.training").joinpath("settings.csv").read_text(encoding="utf-8")
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

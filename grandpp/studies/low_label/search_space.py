"""Values of settings to search: derived from a model's settings, or given on the command line."""

from __future__ import annotations

import argparse
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Union, get_args, get_origin, get_type_hints

from grandpp.fields import ATTENTIONS, NORMALIZATIONS
from grandpp.training.settings import FEATURES, OPTIMIZERS, ModelSettings


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Args:
        low, high: Bounds.
        log: Whether their logarithm is uniform. (default: ``False``)
        integer: Whether they are whole. (default: ``False``)
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def widened(self, value: Any) -> Range:
        """The range with a value in it, unless that is no number or has no logarithm."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self
        if self.log and value <= 0:
            return self
        return replace(self, low=min(self.low, value), high=max(self.high, value))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Args:
        values: The values.
    """

    values: tuple[Any, ...]

    def widened(self, value: Any) -> Choice:
        """The choice with a value in it, unless that is ``None``."""
        return self if value is None or value in self.values else Choice((*self.values, value))

    def __contains__(self, value: object) -> bool:
        return value in self.values


SearchSpace = dict[str, Range | Choice]

# Channels are multiples of every number of heads.
_WIDTHS = Choice((16, 32, 64, 128))
RANGES: Mapping[str, Range | Choice] = {
    "time": Range(1.0, 32.0, log=True),
    "hidden": _WIDTHS,
    "heads": Choice((1, 2, 4, 8)),
    "attention_channels": _WIDTHS,
    "attention": Choice(ATTENTIONS),
    "normalization": Choice(NORMALIZATIONS),
    "source_gain": Range(0.02, 2.0, log=True),
    "cluster_labels": Range(0.25, 4.0, log=True),
    "optimizer": Choice(OPTIMIZERS),
    "lr": Range(0.001, 0.1, log=True),
    "weight_decay": Range(1e-5, 0.1, log=True),
    "input_dropout": Range(0.0, 0.8),
    "dropout": Range(0.0, 0.8),
    "features": Choice(FEATURES),
    "layers": Range(1, 4, log=True, integer=True),
    "hops": Range(2, 32, log=True, integer=True),
    "alpha": Range(0.05, 0.95),
    "theta": Range(0.1, 1.0),
    "kernels": Range(1, 4, integer=True),
    "lanczos_steps": Range(5, 40, log=True, integer=True),
}
"""What is searched of every setting of that name; epochs and solvers are not searched."""

# A setting that is off, None, stays off, but for the form of the features, whose None is "rows".
_NONE_IS: Mapping[str, Any] = {"features": FEATURES[0]}


def start_value(settings: ModelSettings, name: str) -> Any:
    """The present value of a setting, as a search names it."""
    value = getattr(settings, name)
    return _NONE_IS.get(name) if value is None else value


def derive_space(settings: ModelSettings) -> SearchSpace:
    """Return what is searched of a model where nothing else is said.

    Args:
        settings: Its present settings; a range is widened to have their values in it.
    """
    present = {name: start_value(settings, name) for name in settings.choice_names()}
    return {
        name: RANGES[name].widened(value)
        for name, value in present.items()
        if name in RANGES and value is not None
    }


@dataclass(frozen=True)
class Parameter:
    """A setting and what to search of it, as text.

    Args:
        name: Name of the setting.
        text: ``low:high``, ``low:high:log``, or values with commas between them.
    """

    name: str
    text: str

    def dimension(self, settings: ModelSettings) -> Range | Choice:
        """What to search, in the type of the setting.

        Raises:
            ValueError: If the model has no such setting, or it takes no such values.
        """
        names = settings.choice_names()
        if self.name not in names:
            raise ValueError(
                f"expected --parameter with a setting of the model: {', '.join(names)} "
                f"(got '{self.name}')"
            )
        kind = _kind(get_type_hints(type(settings))[self.name])
        if ":" not in self.text:
            return Choice(tuple(self._value(kind, word) for word in self.text.split(",")))
        low, high, *more = self.text.split(":")
        if kind not in (int, float) or more not in ([], ["log"]):
            raise self._wrong(kind)
        found = Range(self._value(kind, low), self._value(kind, high), bool(more), kind is int)
        if not found.low <= found.high or (found.log and found.low <= 0):
            raise self._wrong(kind)
        return found

    def _value(self, kind: Any, text: str) -> Any:
        if kind is bool:
            words = {"true": True, "false": False}
            if text.lower() not in words:
                raise self._wrong(kind)
            return words[text.lower()]
        try:
            return kind(text)
        except ValueError:
            raise self._wrong(kind) from None

    def _wrong(self, kind: Any) -> ValueError:
        ranges = "" if kind in (bool, str) else ", low:high or low:high:log with low below high"
        return ValueError(
            f"expected --parameter {self.name}= with values of type {kind.__name__} and commas "
            f"between them{ranges} (got '{self.text}')"
        )


def parse_parameter(text: str) -> Parameter:
    """Parse ``name=low:high[:log]`` or ``name=value,value``, for ``parse=``."""
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise argparse.ArgumentTypeError(
            f"expected name=low:high, name=low:high:log or name=value,value (got '{text}')"
        )
    return Parameter(name.replace("-", "_"), values)


def search_space(
    settings: ModelSettings, fixed: Iterable[str], parameters: Iterable[Parameter]
) -> SearchSpace:
    """Return what is searched of a model.

    Args:
        settings: Its present settings.
        fixed: Names of settings that are not searched.
        parameters: What is searched instead of, or beside, what is derived.

    Raises:
        ValueError: If a parameter is not one of the model, is named twice or also fixed, or nothing
            is left to search.
    """
    fixed, space = set(fixed), derive_space(settings)
    given: SearchSpace = {}
    for parameter in parameters:
        if parameter.name in given or parameter.name in fixed:
            raise ValueError(f"expected one place that sets '{parameter.name}' (got two)")
        given[parameter.name] = parameter.dimension(settings)
    space = {name: space[name] for name in space if name not in fixed} | given
    if not space:
        raise ValueError("expected a model with settings to search (got none)")
    return space


def _kind(hint: Any) -> Any:
    """The type of a field that is not ``None``."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint

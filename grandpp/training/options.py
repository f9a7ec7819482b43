"""Build a command line from a frozen dataclass, and the options that several commands share.

An option is one field::

    @dataclass(frozen=True, kw_only=True)
    class MyOptions(ReportOptions, DataOptions):
        '''Options of this command.'''

        splits: int = option("number of splits", default=3, parse=positive_int)
        models: tuple[str, ...] = option("one or more of {choices}", flag="--model", choices=MODELS,
                                         default=("gcn",))

The type of the field says how its text is parsed and how often it may stand; its default is
added to the help. An option that several commands have is a field of a class that they inherit.
"""

from __future__ import annotations

import argparse
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

DEVICES: tuple[str, ...] = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Option:
    """How a field stands on the command line, see :func:`option`."""

    help: str
    flag: str | None
    alias: str | None
    metavar: str | None
    choices: Iterable[str] | None
    parse: Callable[[str], Any] | None
    shown_default: str | None
    negatable: bool
    positional: bool


def option(
    help: str,
    *,
    default: Any = MISSING,
    flag: str | None = None,
    alias: str | None = None,
    metavar: str | None = None,
    choices: Iterable[str] | None = None,
    parse: Callable[[str], Any] | None = None,
    shown_default: str | None = None,
    negatable: bool = False,
    positional: bool = False,
) -> Any:
    """Declare a field of a dataclass as an option of a command line.

    The type of the field decides the rest: a tuple takes one or more values and may be repeated, a
    ``bool`` takes none.

    Args:
        help: What it does; ``{choices}`` stands for the choices, joined by commas.
        default: Value without the option. (default: the option is required)
        flag: Its name. (default: that of the field, with dashes)
        alias: A second name. (default: none)
        metavar: Placeholder of its value in the help. (default: the choices, or the name)
        choices: Values it may take.
        parse: Turns its text into a value; an ``argparse.ArgumentTypeError`` is reported.
            (default: the type of the field)
        shown_default: What the help says of the default. (default: the default itself, and
            nothing if that is ``None``, ``False`` or empty)
        negatable: Let ``--no-...`` set a ``bool`` to ``False``.
        positional: Take the values without a flag.
    """
    row = Option(help, flag, alias, metavar, choices, parse, shown_default, negatable, positional)
    return field(default=default, metadata={"option": row})


def add_options(parser: argparse.ArgumentParser, declared: type[Any]) -> None:
    """Add every option that a dataclass declares; those it inherits stand in groups of their own.

    Args:
        parser: Parser that gets the options.
        declared: A dataclass with fields by :func:`option`; other fields are left alone.
    """
    hints = get_type_hints(declared)
    owners = {f.name: _owner(declared, f.name) for f in fields(declared)}
    groups: dict[type[Any], Any] = {declared: parser}
    for item in fields(declared):
        row = item.metadata.get("option")
        if row is None:
            continue
        owner = owners[item.name]
        if owner not in groups:
            groups[owner] = parser.add_argument_group((owner.__doc__ or "").partition("\n")[0][:-1])
        _add_option(groups[owner], item.name, hints[item.name], item.default, row)


def read_options(args: argparse.Namespace, declared: type[T]) -> T:
    """Make the dataclass from parsed arguments; what was not given keeps the field's default.

    Args:
        args: What a parser with :func:`add_options` returned.
        declared: The same dataclass.

    Raises:
        ValueError: If the dataclass refuses a value.
    """
    given = vars(args)
    names = [f.name for f in fields(declared) if f.name in given]  # type: ignore[arg-type]
    values = {k: tuple(v) if isinstance(v := given[k], list) else v for k in names}
    return declared(**values)


def _owner(declared: type[Any], name: str) -> type[Any]:
    """The class in whose body a field is declared."""
    return next(c for c in declared.__mro__ if name in vars(c).get("__annotations__", {}))


def _add_option(group: Any, name: str, hint: Any, default: Any, row: Option) -> None:
    kind, several = _value_type(hint)
    text = _help_text(row, default)
    flags = [name] if row.positional else _flags(name, row)
    # What is not given is absent from the namespace: the dataclass has the defaults, once.
    given: dict[str, Any] = {"help": text, "default": argparse.SUPPRESS}
    if not row.positional:
        given |= {"dest": name, "required": default is MISSING}
    if kind is bool:
        action = argparse.BooleanOptionalAction if row.negatable else "store_true"
        group.add_argument(*flags, action=action, **given)
        return
    if several:
        given["nargs"] = "+"
        if not row.positional:
            given["action"] = "extend"
    if row.choices is not None:
        given["choices"] = tuple(row.choices)
    group.add_argument(*flags, type=row.parse or kind, metavar=row.metavar, **given)


def _flags(name: str, row: Option) -> list[str]:
    flag = row.flag or f"--{name.replace('_', '-')}"
    return [flag] if row.alias is None else [flag, row.alias]


def _value_type(hint: Any) -> tuple[Any, bool]:
    """The type of one value, and whether the option takes several."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _help_text(row: Option, default: Any) -> str:
    text = row.help.replace("{choices}", ", ".join(row.choices or ()))
    shown = row.shown_default
    plain = default is not MISSING and default is not None and default is not False
    if shown is None and plain and default != ():
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    text = f"{text} (default: {shown})" if shown is not None else text
    return text.replace("%", "%%")  # argparse formats it


def positive_int(text: str) -> int:
    """Parse an integer of at least 1, for ``parse=``."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer (got '{text}')")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0, for ``parse=``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number (got '{text}')")
    return value


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is printed."""

    json: bool = option(
        "print JSON, one line per result, instead of tables; these go to stderr", default=False
    )
    quiet: bool = option("no progress bar", default=False)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where data are."""

    root: Path | None = option(
        "folder of raw data files, searched before $GRANDPP_DATA and the cache",
        default=None,
        metavar="DIR",
    )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where tensors are."""

    device: str = option(
        "device that computes; auto is cuda where there is one", default="auto", choices=DEVICES
    )


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Where results are kept."""

    out: Path | None = option(
        "append one JSON line per run; runs that the file holds are not repeated",
        default=None,
        metavar="FILE.jsonl",
    )

    @property
    def where(self) -> str:
        """Where finished runs are, for the message after an interruption."""
        return "shown" if self.out is None else f"kept in {self.out}"


@dataclass(frozen=True, kw_only=True)
class TrainingImageOptions:
    """Which images are learned from."""

    train: int | None = option(
        "train on the first N images alone", default=None, parse=positive_int, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class HeldOutImageOptions:
    """Which images are held out."""

    test: int | None = option(
        "test on the first N held-out images alone", default=None, parse=positive_int, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class PlotOptions:
    """What is drawn."""

    plot: Path | None = option(
        "save a picture of the results (.png, .pdf or .svg)", default=None, metavar="FILE"
    )


@dataclass(frozen=True, kw_only=True)
class DescribeOptions:
    """What is told without running anything."""

    describe: bool = option("print the layers of every model as JSON and end", default=False)


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """How often runs are repeated."""

    runs: int = option("seeds per model", default=1, parse=positive_int)
    seed: int = option("the first seed", default=0, alias="--first-seed", metavar="S")

    @property
    def seeds(self) -> range:
        """All seeds."""
        return range(self.seed, self.seed + self.runs)


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """How an interrupted training goes on."""

    checkpoint: Path | None = option(
        "save the state of the training after every epoch, over an older one unless --resume is "
        "given",
        default=None,
        metavar="PATH",
    )
    resume: bool = option("go on from --checkpoint where it exists", default=False)

    def __post_init__(self) -> None:
        if self.resume and self.checkpoint is None:
            raise ValueError("expected --checkpoint with --resume (got none)")

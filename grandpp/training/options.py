"""Build a command line from a frozen dataclass, and the options that several commands share.

An option is one field::

    @dataclass(frozen=True, kw_only=True)
    class MyOptions(ReportOptions, DataOptions):
        '''Options of this command.'''

        splits: int = option("number of splits", default=3, parse=positive_int)
        models: tuple[str, ...] = option("one or more of {choices}", flag="--model", choices=MODELS,
                                         default=("gcn",))

The type of the field decides how its text is parsed and how many values it takes; its default is
added to the help. An option that several commands have is a field of a class that they inherit; a
command that declares the field again without :func:`option` gives it another default. Settings of
models declare their options, too: a command takes them over by :func:`options_of`.
"""

from __future__ import annotations

import argparse
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from grandpp.data.files import expand_home

T = TypeVar("T")

DEVICES: tuple[str, ...] = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Option:
    """A field as an option of a command line, see :func:`option`."""

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
        help: Text of ``--help``; ``{choices}`` stands for the choices, joined by commas.
        default: Value without the option. (default: the option is required)
        flag: Its name. (default: that of the field, with dashes)
        alias: A second name. (default: none)
        metavar: Placeholder of its value in the help. (default: the choices, or the name)
        choices: Values it may take.
        parse: Turns its text into a value; an ``argparse.ArgumentTypeError`` is reported.
            (default: the type of the field)
        shown_default: The default as the help shows it. (default: the default itself, and
            nothing if that is ``None``, ``False`` or empty)
        negatable: Let ``--no-...`` set a ``bool`` to ``False``.
        positional: Take the values without a flag.
    """
    row = Option(help, flag, alias, metavar, choices, parse, shown_default, negatable, positional)
    return field(default=default, metadata={"option": row})


def options_of(
    declared: Iterable[type[Any]],
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
    **defaults: Any,
) -> Any:
    """Declare a field that stands for options of other dataclasses.

    Its value is a dictionary of those that were given, by the names of their fields.

    Args:
        declared: Dataclasses with fields by :func:`option`; a field that several of them inherit
            is one option.
        only: Names of the fields to take. (default: ``None``, all)
        without: Names of fields to leave out. (default: none)
        **defaults: Values of options that are not given. (default: left out)
    """
    names = None if only is None else tuple(only)
    taken = OptionsOf(tuple(declared), names, tuple(without), defaults)
    return field(default_factory=lambda: dict(defaults), metadata={"options_of": taken})


@dataclass(frozen=True)
class OptionsOf:
    """Arguments of :func:`options_of`."""

    declared: tuple[type[Any], ...]
    only: tuple[str, ...] | None
    without: tuple[str, ...]
    defaults: Mapping[str, Any]

    def takes(self, name: str) -> bool:
        """Whether a field is one of the options."""
        return name not in self.without and (self.only is None or name in self.only)


def add_options(parser: argparse.ArgumentParser, declared: type[Any]) -> None:
    """Add every option that a dataclass declares; inherited ones form groups of their own.

    Args:
        parser: Parser that gets the options.
        declared: A dataclass with fields by :func:`option`; other fields are left alone.
    """
    groups: dict[type[Any], Any] = {declared: parser}
    for item in _items(declared):
        if item.owner not in groups:
            title = (item.owner.__doc__ or "").partition("\n")[0][:-1]
            groups[item.owner] = parser.add_argument_group(title)
        _add_option(groups[item.owner], item)


def read_options(args: argparse.Namespace, declared: type[T]) -> T:
    """Make the dataclass from parsed arguments; options not given keep the field's default.

    Args:
        args: Result of a parser with :func:`add_options`.
        declared: The same dataclass.

    Raises:
        ValueError: If the dataclass refuses a value.
    """
    given, values = vars(args), _collections(declared)
    for item in _items(declared):
        if item.dest in given:
            value = given[item.dest]
            value = tuple(value) if isinstance(value, list) else value
            where = values if item.collected_in is None else values[item.collected_in]
            where[item.name] = value
    return declared(**values)


@dataclass(frozen=True)
class _Item:
    """An option of a command: its field, its declaration, and where its value goes."""

    name: str
    hint: Any
    default: Any
    row: Option
    owner: type[Any]
    collected_in: str | None = None

    @property
    def dest(self) -> str:
        return self.name if self.collected_in is None else f"{self.collected_in}.{self.name}"


def _items(declared: type[Any]) -> Iterator[_Item]:
    hints = get_type_hints(declared)
    for own in fields(declared):
        taken = own.metadata.get("options_of")
        if taken is not None:
            yield from _taken(own.name, taken)
            continue
        found = _declaration(declared, own.name)
        if found is not None:
            yield _Item(own.name, hints[own.name], own.default, *found)


def _taken(collected_in: str, taken: OptionsOf) -> Iterator[_Item]:
    """The options of other dataclasses, each once."""
    seen: dict[str, type[Any]] = {}
    for declared in taken.declared:
        hints = get_type_hints(declared)
        for own in fields(declared):
            found = _declaration(declared, own.name)
            if found is None or not taken.takes(own.name):
                continue
            row, owner = found
            if own.name not in seen:
                default = taken.defaults.get(own.name, own.default)
                if own.name in taken.defaults:
                    row = replace(row, shown_default=None)
                yield _Item(own.name, hints[own.name], default, row, owner, collected_in)
            if seen.setdefault(own.name, owner) is not owner:
                raise TypeError(
                    f"expected one declaration of the option '{own.name}' "
                    f"(got those of {seen[own.name].__name__} and {owner.__name__})"
                )


def _collections(declared: type[Any]) -> dict[str, Any]:
    """The dictionaries that :func:`options_of` fills, with their defaults."""
    taken = ((f.name, f.metadata.get("options_of")) for f in fields(declared))
    return {name: dict(of.defaults) for name, of in taken if of is not None}


def _declaration(declared: type[Any], name: str) -> tuple[Option, type[Any]] | None:
    """The option that a field declares, and the class, perhaps a base, that declares it."""
    declarations = {kind: _own_option(kind, name) for kind in declared.__mro__}
    row = next((row for row in declarations.values() if row is not None), None)
    if row is None:
        return None
    # Subclasses inherit the fields of their bases: the last class in the order declares it.
    return row, [kind for kind, own in declarations.items() if own is row][-1]


def _own_option(kind: type[Any], name: str) -> Option | None:
    own = vars(kind).get("__dataclass_fields__", {}).get(name)
    return None if own is None else own.metadata.get("option")


def _add_option(group: Any, item: _Item) -> None:
    row, required = item.row, item.default is MISSING
    kind, several = _value_type(item.hint)
    flags = [item.name] if row.positional else _flags(item.name, row)
    # Options not given are absent from the namespace: the dataclass has the defaults, once.
    given: dict[str, Any] = {"help": _help_text(row, item.default), "default": argparse.SUPPRESS}
    if not row.positional:
        given |= {"dest": item.dest, "required": required}
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
    metavar = row.metavar
    if metavar is None and row.choices is None and not row.positional:
        metavar = item.name.upper()
    parse = row.parse or (expand_home if kind is Path else kind)
    group.add_argument(*flags, type=parse, metavar=metavar, **given)


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
        values = default if isinstance(default, tuple) else (default,)
        shown = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
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
class QuietOptions:
    """Progress."""

    quiet: bool = option("no progress bar", default=False)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(QuietOptions):
    """Output."""

    json: bool = option(
        "print JSON, one line per result, to stdout, and tables to stderr", default=False
    )


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Data files."""

    root: Path | None = option(
        "folder of raw data files, searched before $GRANDPP_DATA and the cache",
        default=None,
        metavar="DIR",
    )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Device."""

    device: str = option(
        "device to compute on; auto is cuda if there is one", default="auto", choices=DEVICES
    )


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Records of results."""

    out: Path | None = option(
        "append one JSON line per run; runs that the file holds are not repeated",
        default=None,
        metavar="FILE.jsonl",
    )

    @property
    def where(self) -> str:
        """Description of where finished runs are, for the message after an interruption."""
        return "shown" if self.out is None else f"kept in {self.out}"


@dataclass(frozen=True, kw_only=True)
class TrainingImageOptions:
    """Training images."""

    train: int | None = option(
        "train on the first N images alone", default=None, parse=positive_int, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class HeldOutImageOptions:
    """Held-out images."""

    test: int | None = option(
        "test on the first N held-out images alone", default=None, parse=positive_int, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class PlotOptions:
    """Figures."""

    plot: Path | None = option(
        "save a picture of the results (.png, .pdf or .svg)", default=None, metavar="FILE"
    )


@dataclass(frozen=True, kw_only=True)
class DescribeOptions:
    """Description without a run."""

    describe: bool = option("print the layers of every model as JSON and end", default=False)


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """Repeated runs."""

    runs: int = option("seeds per model", default=1, parse=positive_int)
    seed: int = option("the first seed", default=0, alias="--first-seed", metavar="S")

    @property
    def seeds(self) -> range:
        """All seeds."""
        return range(self.seed, self.seed + self.runs)


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Checkpoints."""

    checkpoint: Path | None = option(
        "save the state of the training after every epoch, over an older one unless --resume is "
        "given",
        default=None,
        metavar="PATH",
    )
    resume: bool = option("continue from --checkpoint if it exists", default=False)

    def __post_init__(self) -> None:
        if self.resume and self.checkpoint is None:
            raise ValueError("expected --checkpoint with --resume (got none)")

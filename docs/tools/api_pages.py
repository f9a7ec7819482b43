"""Write the pages of the API reference: one for every package that lists public names.

A name that several packages offer is described once, at the package whose modules define it; the
others refer to it. ``docs/conf.py`` calls :func:`write_pages` before Sphinx reads its sources.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import pkgutil
import re
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import grandpp
from grandpp.__main__ import COMMANDS
from grandpp.training.command import Command, OneLineParser
from grandpp.training.options import add_options

ORDER = (
    "grandpp.estimator", "grandpp.layers", "grandpp.fields", "grandpp.solvers", "grandpp.linalg",
    "grandpp.models", "grandpp.data", "grandpp.sequence", "grandpp.image", "grandpp.image.flow",
    "grandpp.graph", "grandpp.distributed", "grandpp.training",
)  # fmt: skip
"""Packages, and a module of its own, in the order of the pages; others follow by name."""

KINDS = {"class": "Classes", "exception": "Exceptions", "function": "Functions", "data": "Data"}


@dataclass(frozen=True)
class Entry:
    """A public name as one package offers it."""

    package: str
    name: str
    kind: str
    home: str
    """The package that describes it."""

    @property
    def path(self) -> str:
        """The name by which the reference knows the object."""
        return f"{self.package}.{self.name}"


def packages() -> list[ModuleType]:
    """Every package of grandpp that lists its public names, without grandpp itself."""
    found = [
        import_module(info.name)
        for info in pkgutil.walk_packages(grandpp.__path__, "grandpp.")
        if info.ispkg
    ]
    found.append(import_module("grandpp.graph"))
    public = {module.__name__: module for module in found if hasattr(module, "__all__")}
    first = [public[name] for name in ORDER]
    return first + [public[name] for name in sorted(public) if name not in ORDER]


def entries() -> list[Entry]:
    """Every public name of every package, in the order of the pages."""
    public = packages()
    offered: dict[int, list[str]] = {}
    for module in public:
        for name in module.__all__:
            if _kind(getattr(module, name)) != "data":
                offered.setdefault(id(getattr(module, name)), []).append(module.__name__)
    found = []
    for module in public:
        for name in module.__all__:
            value = getattr(module, name)
            package = module.__name__
            home = _home(value, offered.get(id(value), [package]))
            found.append(Entry(package, name, _kind(value), home))
    return found


def top_level() -> list[tuple[str, str]]:
    """Names of ``grandpp`` itself, each with the path at which it is described."""
    homes = {}
    for entry in entries():
        value = getattr(import_module(entry.package), entry.name)
        homes.setdefault(id(value), f"{entry.home}.{entry.name}")
    return [(name, homes[id(getattr(grandpp, name))]) for name in grandpp.__all__]


def write_pages(folder: Path) -> list[Entry]:
    """Write ``index.rst``, ``commands.rst`` and a page per package; return the public names.

    Args:
        folder: Where the pages go. Pages that would not change are left alone, so that Sphinx
            reads again only what is new.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = entries()
    for module in packages():
        mine = [entry for entry in found if entry.package == module.__name__]
        _write(folder / f"{module.__name__}.rst", _page(module, mine))
    _write(folder / "commands.rst", _commands())
    _write(folder / "index.rst", _index())
    return found


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def _home(value: object, offered: list[str]) -> str:
    """The package, among those that offer an object, whose modules define it."""
    module = getattr(value, "__module__", "") or ""
    inside = [name for name in offered if f"{module}.".startswith(f"{name}.")]
    return max(inside, key=len) if inside else offered[0]


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _index() -> str:
    rows = [f"   * - ``grandpp.{name}``\n     - :py:obj:`{path}`" for name, path in top_level()]
    pages = [module.__name__ for module in packages()]
    about = [
        f"   * - :doc:`{module.__name__}`\n     - {_first_line(module)}" for module in packages()
    ]
    return "\n".join([
        "API reference", "=============", "",
        "Every public name, by package. The names that most programs need come from ``grandpp``",
        "itself:", "",
        ".. list-table::", "   :header-rows: 1", "", "   * - name", "     - described at", *rows,
        "", ":doc:`commands` has the options of every command.", "",
        "Packages", "--------", "", ".. list-table::", "", *about, "",
        ".. toctree::", "   :hidden:", "", "   commands", *(f"   {page}" for page in pages), "",
    ])  # fmt: skip


def _commands() -> str:
    """What ``grandpp COMMAND --help`` prints, for every command."""
    lines = ["Commands", "========", "", "What ``grandpp COMMAND --help`` prints.", ""]
    for name, (module, about) in COMMANDS.items():
        title = f"grandpp {name}"
        text = textwrap.indent(_help(import_module(module).COMMAND, title), "   ")
        lines += [title, "-" * len(title), "", f"{about[0].upper()}{about[1:]}.", ""]
        lines += [".. code-block:: text", "", text, ""]
    return "\n".join(lines)


def _help(command: Command[Any], program: str) -> str:
    parser = OneLineParser(
        prog=program,
        description=command.about,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=88),
    )
    add_options(parser, command.options)
    return parser.format_help()


def _first_line(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")


def _page(module: ModuleType, mine: list[Entry]) -> str:
    package = module.__name__
    lines = [package, "=" * len(package), "", f".. py:module:: {package}", ""]
    lines += [inspect.getdoc(module) or "", ""]
    for kind, title in KINDS.items():
        here = [entry for entry in mine if entry.kind == kind and entry.home == package]
        if not here:
            continue
        lines += [title, "-" * len(title), "", *_overview(module, here)]
        for entry in here:
            lines += _data(module, entry.name) if kind == "data" else _object(entry)
    others = [entry for entry in mine if entry.home != package]
    if others:
        lines += ["Described elsewhere", "-------------------", ""]
        lines += [f"- ``{e.path}`` is :py:obj:`{e.home}.{_name_at(e)}`." for e in others]
    return "\n".join([*lines, ""])


def _name_at(entry: Entry) -> str:
    """What an object that is offered under another name is called where it is described."""
    value = getattr(import_module(entry.package), entry.name)
    home = import_module(entry.home)
    return next(name for name in home.__all__ if getattr(home, name) is value)


def _overview(module: ModuleType, here: list[Entry]) -> list[str]:
    rows = []
    for entry in here:
        if entry.kind == "data":
            text = _data_text(module, entry.name)
        else:
            text = inspect.getdoc(getattr(module, entry.name)) or ""
        rows.append(f"   * - :py:obj:`~{entry.path}`\n     - {_summary(text)}")
    return [".. list-table::", "   :widths: 1 2", "", *rows, ""]


def _summary(text: str) -> str:
    """The first sentence of a docstring, in one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    end = re.search(r"(?<! al)\.(?= [A-Z`*])", paragraph)
    return paragraph[: end.end()] if end else paragraph


def _object(entry: Entry) -> list[str]:
    directive = {"class": "autoclass", "exception": "autoexception"}.get(entry.kind, "autofunction")
    lines = [f".. {directive}:: {entry.path}"]
    if entry.kind != "function":
        known = _described_bases(getattr(import_module(entry.package), entry.name))
        lines += ["   :members:", "   :show-inheritance:", f"   :inherited-members: {known}"]
    return [*lines, ""]


def _described_bases(cls: type) -> str:
    """Bases whose members are not repeated: those of other packages, and public ones."""
    public = {id(getattr(module, name)) for module in packages() for name in module.__all__}
    bases = [base for base in cls.__mro__[1:] if not _is_private(base, public)]
    return ", ".join(dict.fromkeys(base.__name__ for base in bases))


def _is_private(base: type, public: set[int]) -> bool:
    return base.__module__.startswith("grandpp.") and id(base) not in public


def _data(module: ModuleType, name: str) -> list[str]:
    """A constant or a type alias: its value where it is short, and the text below it."""
    shown = textwrap.shorten(repr(getattr(module, name)), 100, placeholder=" ...")
    text = _data_text(module, name)
    lines = [f".. py:data:: {name}", f"   :value: {shown}", ""]
    return [*lines, textwrap.indent(text, "   "), ""]


def _data_text(module: ModuleType, name: str) -> str:
    """The string literal that follows the assignment of a constant, where it is made."""
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _data_text(import_module(node.module), alias.name)
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return inspect.cleandoc(str(after.value.value))
    return ""

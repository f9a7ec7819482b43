"""Tables as text, by pandas, and as Markdown and LaTeX.

Markdown and LaTeX are written here: pandas needs tabulate for the one, Jinja2 and the LaTeX package
booktabs for the other, and leaves ``|`` in Markdown and ``<`` in LaTeX unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill

import pandas as pd

STYLES: tuple[str, ...] = ("text", "markdown", "latex")

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", **{c: rf"\{c}" for c in "&%$#_{}"},
})  # fmt: skip
# Columns with longer cells wrap in LaTeX.
_LONG = 32
_MARKDOWN = str.maketrans({c: rf"\{c}" for c in "\\|_`<"})


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format right-aligned columns under their heads; short rows are filled up with dashes."""
    return _text(pd.DataFrame([dict(enumerate(line)) for line in (head, *rows)]).fillna("-"))


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Format left-aligned columns, with a rule below the first line, their heads."""
    frame = pd.DataFrame(lines)
    widths = frame.map(len).max()
    rule = pd.DataFrame(["-" * width for width in widths]).T
    ruled = pd.concat([frame[:1], rule, frame[1:]])
    return _text(ruled.apply(lambda column: column.str.ljust(widths[column.name])))


def _text(frame: pd.DataFrame) -> str:
    # pandas separates columns by one space, like the words of a cell.
    frame.iloc[:, 1:] = " " + frame.iloc[:, 1:]
    lines = frame.to_string(index=False, header=False).split("\n")
    return "\n".join(line.rstrip() for line in lines)


def styled(head: Sequence[str], rows: Sequence[Sequence[str]], style: str, title: str) -> str:
    """Format a table with a title in one of three styles.

    Args:
        head: Heads of the columns.
        rows: Cells, as many as heads; `` +- `` becomes a plus-minus sign in LaTeX, and a cell
            ``**text**`` is highlighted: bold in Markdown and LaTeX, starred in text.
        style: One of ``STYLES``: ``"text"``, left-aligned columns; ``"markdown"``, GitHub's; or
            ``"latex"``, a ``table`` that needs no package.
        title: Line above the table; the caption in LaTeX.

    Raises:
        ValueError: For an unknown style.
    """
    if style == "text":
        cells = [[_bold(cell, "{}*") for cell in line] for line in (head, *rows)]
        return f"{title}\n{columns(cells)}"
    if style == "markdown":
        return f"{_plain(title, _MARKDOWN)}\n\n{_markdown(head, rows)}"
    if style == "latex":
        return _latex(head, rows, title)
    raise ValueError(f"expected 'style' to be one of {', '.join(STYLES)} (got '{style}')")


def paragraph(text: str, style: str) -> str:
    """Format a sentence below a table in the same style."""
    if style == "latex":
        return _signs(_plain(text, _LATEX))
    return _plain(text, _MARKDOWN) if style == "markdown" else fill(text, width=100)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[_bold(_plain(c, _MARKDOWN), "**{}**") for c in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _latex(head: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> str:
    lines = [" & ".join(_latex_cell(cell) for cell in line) + r" \\" for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    columns = "".join("l" if width <= _LONG else "p{4cm}" for width in widths)
    return "\n".join([
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{paragraph(title, 'latex')}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        lines[0],
        r"\hline",
        *lines[1:],
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ])  # fmt: skip


def _latex_cell(cell: str) -> str:
    return _bold(_signs(_plain(cell, _LATEX)), r"\textbf{{{}}}")


def _plain(text: str, characters: dict[int, str]) -> str:
    return " ".join(text.split()).translate(characters)


def _signs(text: str) -> str:
    """Use LaTeX's plus-minus and minus signs; hyphens in names are not changed."""
    return re.sub(r"(?<![\w$-])-(?=\d)", "$-$", text.replace(" +- ", r" $\pm$ "))


def _bold(cell: str, form: str) -> str:
    found = re.fullmatch(r"\*\*(.+)\*\*", cell)
    return form.format(found[1]) if found else cell

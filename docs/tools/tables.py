"""Fill the tables of README and docs from stored records: ``python docs/tools/tables.py``.

A table stands between the lines ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Those of
accuracies are computed from ``results/table-4.3.jsonl.gz``, those of times are rows of
``results/speed.json``. ``tests/test_docs.py`` checks that the pages are up to date.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from grandpp.training import load_records, paired_difference, summarize
from grandpp.training.record_file import Record

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/results.md", "docs/speed.md")
RECORDS = ROOT / "results/table-4.3.jsonl.gz"
TIMES = ROOT / "results/speed.json"
THESIS = ROOT / "grandpp/studies/thesis/thesis.csv"
PATTERN = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end of table -->)", re.S)
BASE, OURS, UNTRAINED = "grand-l", "grand++-cluster-l", "clusters"
SETS = ("Cora", "CiteSeer")


def filled(text: str) -> str:
    """The page with the present tables in it."""
    return PATTERN.sub(lambda found: f"{found[1]}\n{table(found[2])}\n\n{found[4]}", text)


def table(name: str) -> str:
    """A table by its name, in Markdown."""
    if name in TABLES:
        return TABLES[name]()
    sections = {section["name"]: section for section in json.loads(TIMES.read_text())["tables"]}
    if name not in sections:
        known = ", ".join([*TABLES, *sections])
        raise ValueError(f"expected a table among {known} (got '{name}')")
    found = sections[name]
    head = f"Measured by `{found['command']}`: {found['measured']}."
    return f"{head}\n\n{markdown(found['columns'], found['rows'])}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with a head."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


@cache
def cell(dataset: str, labels: int, model: str) -> list[Record]:
    """The records of one cell of the study."""
    key = (dataset, labels, model)
    return [r for r in _records() if (r["dataset"], r["labels_per_class"], r["model"]) == key]


@cache
def _records() -> list[Record]:
    return list(load_records([RECORDS]))


def accuracy(dataset: str, labels: int, model: str) -> str:
    """Mean and standard deviation over splits, in percent."""
    found = summarize(cell(dataset, labels, model))
    return f"{100 * (found.mean or 0):.2f} +- {100 * (found.std or 0):.2f}"


def last_epoch(dataset: str, labels: int, model: str) -> str:
    """Mean accuracy after the last epoch, in percent."""
    return f"{100 * (summarize(cell(dataset, labels, model)).last_mean or 0):.2f}"


def difference(dataset: str, labels: int, model: str) -> str:
    """Paired difference to GRAND-l with its 95 % interval, in points."""
    found = paired_difference(cell(dataset, labels, model), cell(dataset, labels, BASE))
    if found is None or found.half_width is None:
        raise ValueError(f"expected pairs of runs of {model} and {BASE} (got none on {dataset})")
    low, high = found.mean - found.half_width, found.mean + found.half_width
    return f"{100 * found.mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


@cache
def printed() -> dict[tuple[str, int, str], str]:
    """Mean and standard deviation of the thesis's Table 4.3."""
    with THESIS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == "4.3"]
    return {
        (row["dataset"], int(row["labels"]), row["model"]): (
            f"{float(row['mean']):.2f} +- {float(row['std']):.2f}"
        )
        for row in rows
        if row["mean"] and row["std"]
    }


def headline() -> str:
    """The README's table."""
    rows = [
        (name, k, printed()[name, k, BASE], accuracy(name, k, BASE), accuracy(name, k, OURS),
         difference(name, k, OURS))
        for name in SETS
        for k in (1, 2, 5)
    ]  # fmt: skip
    columns = (
        "data set", "labels per class", "GRAND-l, thesis", "GRAND-l, ours",
        "GRAND++ with clusters", "difference of ours, 95 % interval",
    )  # fmt: skip
    return markdown(columns, rows)


def few_labels() -> str:
    """One and two labels per class."""
    rows: list[tuple[str, ...]] = []
    for name in SETS:
        for k in (1, 2):
            rows.append(
                (name, str(k), BASE, accuracy(name, k, BASE), last_epoch(name, k, BASE), "")
            )
            for model, shown in ((UNTRAINED, f"{UNTRAINED} (no training)"), (OURS, f"**{OURS}**")):
                own = accuracy(name, k, model)
                own = f"**{own}**" if model == OURS else own
                gain = difference(name, k, model)
                rows.append(("", "", shown, own, last_epoch(name, k, model), gain))
    columns = (
        "data set", "labels", "model", "test accuracy", "last epoch",
        "paired difference to grand-l, 95 % interval",
    )  # fmt: skip
    return markdown(columns, rows)


def more_labels() -> str:
    """Five, ten and twenty labels per class."""
    rows = []
    for name in SETS:
        for k in (5, 10, 20):
            own, base = (summarize(cell(name, k, model)) for model in (OURS, BASE))
            means = [f"{100 * (found.mean or 0):.2f}" for found in (base, own)]
            rows.append((name if k == 5 else "", k, own.n, *means, difference(name, k, OURS)))
    columns = ("data set", "labels", "splits", BASE, OURS, "paired difference, 95 % interval")
    return markdown(columns, rows)


TABLES: dict[str, Callable[[], str]] = {
    "headline": headline, "few-labels": few_labels, "more-labels": more_labels,
}  # fmt: skip


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()

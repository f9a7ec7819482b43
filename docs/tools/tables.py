"""Fill the tables of README and docs from stored records: ``python docs/tools/tables.py``.

A table stands between the lines ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Those of
accuracies are computed from ``results/table-4.3*.jsonl.gz``, those of times are rows of
``results/speed.json``. ``tests/test_docs.py`` checks that the pages are up to date.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from grandpp.studies.low_label.depth_report import summarise as by_depth
from grandpp.studies.low_label.zoo import default_shares
from grandpp.training import PairedDifference, load_records, paired_difference, summarize
from grandpp.training.packing import unpack_records
from grandpp.training.record_file import Record
from grandpp.training.statistics import holm, paired_test

At = TypeVar("At")
ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md", "docs/results.md", "docs/results/default-model.md",
    "docs/results/few-labels.md", "docs/results/source-term.md", "docs/results/depth.md",
    "docs/results/solvers.md", "docs/speed.md",
)  # fmt: skip
RECORDS = ROOT / "results/table-4.3.jsonl.gz"
WITHOUT_VALIDATION = ROOT / "results/table-4.3-no_val.jsonl.gz"
SAME_NODES = ROOT / "results/table-4.3-grand_no_val.jsonl.gz"
PER_CLASS = ROOT / "results/table-4.3-per_class_val.jsonl.gz"
DEPTHS = ROOT / "results/table-4.1.jsonl.gz"
ONE_SPLIT = ROOT / "results/one-split.jsonl.gz"
SOLVERS = ROOT / "results/training-solvers.jsonl.gz"
ARXIV = ROOT / "results/arxiv-depth.jsonl.gz"
EPOCHS = ROOT / "results/default-epochs.jsonl.gz"
SHARES = ROOT / "results/class-shares.jsonl.gz"
POOL = ROOT / "results/cluster-pool.jsonl.gz"
TIMES = ROOT / "results/speed.json"
THESIS = ROOT / "grandpp/studies/thesis/thesis.csv"
PATTERN = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end of table -->)", re.S)
BASE, OURS, UNTRAINED = "grand-l", "grand++-cluster-l", "clusters"
DEFAULT = "grand++-views-l"
OTHERS = ("grand-l", "grand++-l", "poisson", "clusters", "gcn")
NETWORKS = {"gcn": "GCN", "gat": "GAT", "sage": "GraphSAGE", "monet": "MoNet"}
SETS = ("Cora", "CiteSeer")
GRAPHS = ("Cora", "CiteSeer", "PubMed", "CoauthorCS", "Photo", "Computers")
# Li et al. (2025), IceBerg, arXiv 2502.06280: the few-shot accuracies at 1, 2, 3 and 5 labels.
ICEBERG = {
    "Cora": {1: 68.2, 2: 75.1, 3: 75.8, 5: 78.3},
    "CiteSeer": {1: 57.8, 2: 64.8, 3: 66.6, 5: 67.8},
    "PubMed": {1: 60.1, 2: 66.9, 3: 68.8, 5: 72.6},
}


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
def cell(dataset: str, labels: int, model: str, path: Path = RECORDS) -> list[Record]:
    """The records of one cell of the study."""
    key = (dataset, labels, model)
    return [r for r in _records(path) if (r["dataset"], r["labels_per_class"], r["model"]) == key]


@cache
def _records(path: Path) -> list[Record]:
    return list(load_records([path]))


def accuracy(dataset: str, labels: int, model: str) -> str:
    """Mean and standard deviation over splits, in percent."""
    return accuracy_of(cell(dataset, labels, model))


def accuracy_of(records: list[Record]) -> str:
    """Mean and standard deviation of records, in percent."""
    found = summarize(records)
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
    return {
        (row["dataset"], int(row["labels"]), row["model"]): (
            f"{float(row['mean']):.2f} +- {float(row['std']):.2f}"
        )
        for row in _printed_rows("4.3")
        if row["mean"] and row["std"]
    }


def _printed_rows(table: str) -> list[dict[str, str]]:
    """The lines of one of the thesis's tables."""
    with THESIS.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["table"] == table]


def headline() -> str:
    """The README's table: the default model on all graphs, on the splits that both models have."""
    rows: list[tuple[Any, ...]] = []
    for name in GRAPHS:
        for k in (1, 2):
            ours, base = cell(name, k, DEFAULT), cell(name, k, BASE)
            splits = {r["split"] for r in ours} & {r["split"] for r in base}
            if not splits:
                continue
            shown = [
                accuracy_of([r for r in found if r["split"] in splits]) for found in (base, ours)
            ]
            first = "" if rows and name in (row[0] for row in rows) else name
            thesis = printed().get((name, k, "grand++-l"), "-")
            rows.append((first, k, len(splits), *shown, difference(name, k, DEFAULT), thesis))
    columns = (
        "data set", "labels per class", "splits", "GRAND-l", "default model",
        "difference, 95 % interval", "GRAND++-l, thesis",
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


def networks() -> str:
    """Networks with 20 labels per class beside the thesis's means, on all graphs."""
    rows = []
    for model, title in NETWORKS.items():
        cells = [cell(name, 20, model) for name in GRAPHS]
        ours = [f"{accuracy_of(found)} ({len(found)})" if found else "not run" for found in cells]
        theirs = [printed().get((name, 20, model), "-") for name in GRAPHS]
        rows += [(title, "ours", *ours), ("", "thesis", *theirs)]
    return markdown(("network", "", *GRAPHS), rows)


def default_model() -> str:
    """The default model on all graphs, with and without validation labels."""
    rows = []
    for protocol, path in (
        ("grand", RECORDS), ("grand_no_val", SAME_NODES), ("no_val", WITHOUT_VALIDATION)
    ):  # fmt: skip
        for k in (1, 2, 5, 10, 20):
            cells = [cell(name, k, DEFAULT, path) for name in GRAPHS]
            if any(cells):
                shown = [f"{accuracy_of(found)} ({len(found)})" if found else "not run"
                         for found in cells]  # fmt: skip
                rows.append((f"`{protocol}`", k, *shown))
    return markdown(("protocol", "labels per class", *GRAPHS), rows)


def default_gains() -> str:
    """The default model against GRAND-l at one and two labels, with Holm's p over all cells."""
    cells = [(k, name) for k in (1, 2) for name in GRAPHS]
    found = {
        at: paired_difference(cell(at[1], at[0], DEFAULT), cell(at[1], at[0], BASE)) for at in cells
    }
    adjusted = _adjusted(found)
    rows = []
    for k in (1, 2):
        shown: list[list[str]] = [[], [], []]
        for name in GRAPHS:
            gain, p = found[k, name], adjusted.get((k, name))
            if gain is None or p is None:
                words = ("0", "not run", "")
            else:
                width = f"{100 * gain.mean:+.1f} +- {100 * (gain.half_width or 0):.1f}"
                words = (str(gain.n), width, "< 0.001" if p < 0.001 else f"{p:.3f}")
            for row, word in zip(shown, words, strict=True):
                row.append(word)
        for title, row in zip(("pairs of splits", "difference", "Holm p"), shown, strict=True):
            rows.append((k if title == "pairs of splits" else "", title, *row))
    return markdown(("labels per class", "", *GRAPHS), rows)


def default_beside_best() -> str:
    """The default model less the other model that comes nearest to it or above, in every cell."""
    rows = []
    for k in (1, 2, 5, 10, 20):
        shown = []
        for name in GRAPHS:
            gains = [
                (gain, model)
                for model in OTHERS
                if (gain := paired_difference(cell(name, k, DEFAULT), cell(name, k, model)))
            ]
            if not gains:
                shown.append("not run")
                continue
            gain, model = min(gains, key=lambda found: found[0].mean)
            width = "" if gain.half_width is None else f" +- {100 * gain.half_width:.1f}"
            shown.append(f"{100 * gain.mean:+.1f}{width} ({model}, {gain.n})")
        rows.append((k, *shown))
    return markdown(("labels per class", *GRAPHS), rows)


def worth_of_validation() -> str:
    """The default model without validation labels, less with them, on the same nodes."""
    rows = []
    for k in (1, 2, 5, 10, 20):
        shown = []
        for name in GRAPHS:
            # The validation masks differ, so paired_difference would take them for other splits.
            gain = paired_test(*(
                {r["split"]: r["test_accuracy"] for r in cell(name, k, DEFAULT, path)}
                for path in (SAME_NODES, RECORDS)
            ))  # fmt: skip
            width = gain and gain.half_width is not None and f" +- {100 * gain.half_width:.1f}"
            shown.append(f"{100 * gain.mean:+.1f}{width or ''} ({gain.n})" if gain else "not run")
        if set(shown) != {"not run"}:
            rows.append((k, *shown))
    return markdown(("labels per class", *GRAPHS), rows)


def per_class_val() -> str:
    """The default model with 30 validation nodes per class beside IceBerg's printed accuracies."""
    rows = []
    for k in ICEBERG["Cora"]:
        row: list[Any] = [k]
        for name, theirs in ICEBERG.items():
            found = cell(name, k, DEFAULT, PER_CLASS)
            row += [f"{accuracy_of(found)} ({len(found)})" if found else "not run", theirs[k]]
        rows.append(row)
    heads = [head for name in ICEBERG for head in (name, f"{name}, IceBerg")]
    return markdown(("labels per class", *heads), rows)


def source_gains() -> str:
    """GRAND++-l less GRAND-l at the tuned depth, with Holm's p over all cells."""
    cells = [(k, name) for k in (1, 2, 5, 10, 20) for name in GRAPHS]
    found = {
        (k, name): paired_difference(cell(name, k, "grand++-l"), cell(name, k, BASE))
        for k, name in cells
    }
    adjusted = _adjusted(found)
    rows = [(k, *(_gain(found[k, n], adjusted.get((k, n))) for n in GRAPHS)) for k in _rows(cells)]
    return markdown(("labels per class", *GRAPHS), rows)


def source_at_depth() -> str:
    """GRAND-l, GRAND++-l and their difference at growing depth, with Holm's p over all cells."""
    runs: dict[tuple[str, float], dict[str, list[Record]]] = {}
    for record in unpack_records(_records(DEPTHS)):
        if record["model"] in (BASE, "grand++-l"):
            at = (record["dataset"], float(record["config"]["time"]))
            runs.setdefault(at, {}).setdefault(record["model"], []).append(record)
    both = {at: _on_common_splits(own) for at, own in runs.items() if len(own) == 2}
    found = {at: paired_difference(own["grand++-l"], own[BASE]) for at, own in both.items()}
    last = {
        at: paired_difference(*(_after_last_epoch(own[m]) for m in ("grand++-l", BASE)))
        for at, own in both.items()
    }
    adjusted, last_adjusted = _adjusted(found), _adjusted(last)
    rows: list[tuple[str, ...]] = []
    for name in GRAPHS:
        for time in sorted(time for dataset, time in both if dataset == name):
            at = (name, time)
            own = [summarize(both[at][m]) for m in (BASE, "grand++-l")]
            means = [f"{100 * (each.mean or 0):.2f}" for each in own]
            lasts = [f"{100 * (each.last_mean or 0):.2f}" for each in own]
            first = "" if rows and name in {row[0] for row in rows} else name
            gain = _gain(found[at], adjusted.get(at))
            rows.append(
                (first, f"{time:g}", *means, gain, *lasts, _gain(last[at], last_adjusted.get(at)))
            )
    columns = (
        "data set", "T", "GRAND-l", "GRAND++-l", "difference", "GRAND-l, last epoch",
        "GRAND++-l, last epoch", "difference, last epoch",
    )  # fmt: skip
    return markdown(columns, rows)


def _on_common_splits(own: Mapping[str, list[Record]]) -> dict[str, list[Record]]:
    """The records of the splits that all models have."""
    common = set.intersection(*({r["split"] for r in records} for records in own.values()))
    return {m: [r for r in records if r["split"] in common] for m, records in own.items()}


def _after_last_epoch(records: Iterable[Record]) -> list[Record]:
    """Records whose accuracy is that after the last epoch."""
    return [r | {"test_accuracy": r["last_test_accuracy"]} for r in records]


def one_split() -> str:
    """Deviations of GRAND++-l at one label: over seeds of one split, over splits, the thesis's."""
    rows = []
    for name in ("Photo", "Computers"):
        seeds = [100 * r["test_accuracy"] for r in cell(name, 1, "grand++-l", ONE_SPLIT)]
        splits = cell(name, 1, "grand++-l")
        own = f"{statistics.mean(seeds):.2f} +- {statistics.stdev(seeds):.2f} ({len(seeds)})"
        over = f"{accuracy_of(splits)} ({len(splits)})"
        rows.append((name, own, over, printed()[name, 1, "grand++-l"]))
    columns = ("data set", "one split, seeds", "splits", "thesis")
    return markdown(columns, rows)


def default_epochs() -> str:
    """The default model with several numbers of epochs, on the splits that chose them."""
    runs: dict[tuple[int, int], dict[str, list[Record]]] = {}
    for record in unpack_records(_records(EPOCHS)):
        at = (record["labels_per_class"], record["config"]["epochs"])
        runs.setdefault(at, {}).setdefault(record["dataset"], []).append(record)
    rows = [
        (*at, *(f"{100 * (summarize(own[n]).mean or 0):.2f} ({len(own[n])})" if n in own
                else "not run" for n in GRAPHS))
        for at, own in sorted(runs.items())
    ]  # fmt: skip
    return markdown(("labels per class", "epochs", *GRAPHS), rows)


def class_shares() -> str:
    """What adjusting the default model's predictions to the shares of the classes changes."""
    runs: dict[tuple[int, str], dict[tuple[str, bool], list[Record]]] = {}
    for record in unpack_records(_records(SHARES)):
        at = (record["labels_per_class"], "from 100 on" if record["split"] >= 100 else "from 0 on")
        key = (record["dataset"], bool(record["config"].get("estimate_shares")))
        runs.setdefault(at, {}).setdefault(key, []).append(record)
    rows = []
    for at, own in sorted(runs.items()):
        gains = (paired_difference(own.get((n, True), []), own.get((n, False), [])) for n in GRAPHS)
        rows.append((*at, *(_gain(gain, None) for gain in gains)))
    return markdown(("labels per class", "splits", *GRAPHS), rows)


def cluster_pool() -> str:
    """What pooling the default model's predictions with its clusters changes, splits from 100 on.

    Runs without a pool are those of the study of the shares of the classes with the default
    settings, where it has them.
    """
    runs: dict[tuple[int, float], dict[str, list[Record]]] = {}
    for record in chain(*(unpack_records(_records(path)) for path in (POOL, SHARES))):
        config, labels = record["config"], record["labels_per_class"]
        if record["split"] >= 100 and bool(config.get("estimate_shares")) == default_shares(labels):
            at = (labels, config.get("cluster_pool") or 0.0)
            runs.setdefault(at, {}).setdefault(record["dataset"], []).append(record)
    rows = []
    for labels, weight in sorted(at for at in runs if at[1]):
        pooled, plain = runs[labels, weight], runs[labels, 0.0]
        for when, of in (("best", list), ("last", _after_last_epoch)):
            gains = (paired_difference(of(pooled.get(n, [])), of(plain.get(n, []))) for n in GRAPHS)
            rows.append((labels, f"{weight:g}", when, *(_gain(gain, None) for gain in gains)))
    return markdown(("labels per class", "W", "epoch", *GRAPHS), rows)


def training_solvers() -> str:
    """Training GRAND with several solvers: the means of stored runs."""
    rows = []
    for record in _lines(SOLVERS):
        curves = record["curves"]
        forward, backward, seconds = (
            statistics.mean(curves[name]) for name in ("nfe_forward", "nfe_backward", "seconds")
        )
        rows.append(
            (
                f"`{record['solver']}`",
                f"{forward:.1f}",
                f"{backward:.1f}",
                f"{seconds:.2f}",
                f"{curves['loss'][-1]:.3f}",
                f"{100 * max(curves['val_accuracy']):.2f}",
                f"{100 * record['test_accuracy']:.2f}",
            )
        )
    columns = (
        "solver", "evaluations forward", "backward", "seconds per epoch", "last training loss",
        "best validation accuracy", "test accuracy then",
    )  # fmt: skip
    return markdown(columns, rows)


def arxiv_depth() -> str:
    """GRAND-l and GRAND++-l against depth on a graph of ogbn-arxiv's size: means over splits."""
    models = (BASE, "grand++-l")
    runs = [record | {"config": {"time": record["time"]}} for record in _lines(ARXIV)]
    found = {(row["model"], row["time"]): row for row in by_depth(runs)}
    theirs = {(row["model"], float(row["depth"])): row["mean"] for row in _printed_rows("4.2")}
    rows = []
    for time in sorted({time for _, time in found}):
        row: list[str] = []
        for model in models:
            own = found[model, time]
            best, last = (100 * own[name] for name in ("test_accuracy", "last_test_accuracy"))
            row += [f"{best:.2f} ({last:.2f})", f"{own['energy']:.1e}"]
        rows.append((f"{time:g}", *row, *(theirs.get((model, time), "-") for model in models)))
    columns = (
        "T", "GRAND-l", "energy", "GRAND++-l", "energy", "thesis, ogbn-arxiv: GRAND-l", "GRAND++-l"
    )  # fmt: skip
    return markdown(columns, rows)


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    """The records of a file of another study than that of few labels."""
    return (json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines())


def _adjusted(found: Mapping[At, PairedDifference | None]) -> dict[At, float]:
    """Holm's p of every tested cell."""
    tested = {at: gain.p_value for at, gain in found.items() if gain and gain.p_value is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def _gain(gain: PairedDifference | None, p: float | None) -> str:
    """A paired difference with its interval, number of pairs and p."""
    if gain is None:
        return "not run"
    width = "" if gain.half_width is None else f" +- {100 * gain.half_width:.1f}"
    words = "" if p is None else ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
    return f"{100 * gain.mean:+.1f}{width} ({gain.n}{words})"


def _rows(cells: Sequence[tuple[int, str]]) -> list[int]:
    return list(dict.fromkeys(k for k, _ in cells))


TABLES: dict[str, Callable[[], str]] = {
    "headline": headline, "few-labels": few_labels, "more-labels": more_labels,
    "networks": networks, "default-model": default_model, "default-gains": default_gains,
    "default-beside-best": default_beside_best, "worth-of-validation": worth_of_validation,
    "per-class-val": per_class_val, "source-gains": source_gains,
    "source-at-depth": source_at_depth, "one-split": one_split,
    "default-epochs": default_epochs, "class-shares": class_shares,
    "cluster-pool": cluster_pool,
    "training-solvers": training_solvers,
    "arxiv-depth": arxiv_depth,
}  # fmt: skip


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()

"""Write the files of a reproduced table, the pages of their folder and their list, RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from grandpp.data import UNVALIDATED
from grandpp.studies.low_label.comparison import LEVEL
from grandpp.studies.low_label.diffusion_settings import GRANDSettings
from grandpp.studies.low_label.zoo import ZOO
from grandpp.studies.thesis.figures import draw_reproduction
from grandpp.studies.thesis.folder import file_of, packed_tables
from grandpp.studies.thesis.layouts import LAYOUTS, TEST_LAYOUTS, TableLayout
from grandpp.studies.thesis.printed import SEEDS, SPLITS
from grandpp.studies.thesis.rebuilt_command import rebuild_command
from grandpp.studies.thesis.reproduced_cells import Reproduction, reproduce
from grandpp.studies.thesis.tables import (
    accuracy_tables,
    as_csv,
    counts,
    has_t_tests,
    paired_table,
    t_test_table,
)
from grandpp.training.atomic_files import write_whole
from grandpp.training.packing import pack_records, unpack_records
from grandpp.training.reading import load_records
from grandpp.training.records import Record
from grandpp.training.tables import paragraph

PAGE = "RESULTS.md"
"""Name of the list of a folder's tables."""

_TITLE = "# Tables of the thesis, reproduced"
_HEAD = (
    "Written by scripts/reproduce.py from the packed records; every number of ours is "
    "computed from them, every number of the thesis is in grandpp/studies/thesis/thesis.csv. "
    "Do not edit: run the command of a table again, with --report-only to train nothing."
)
_LIST = (
    "Every table has a page with its command, our accuracies beside the thesis's, paired "
    "differences and notes. Outcomes are by Welch's t-test against the thesis's mean and deviation."
)
_PROTOCOLS = {
    "grand": "the papers' protocol: the rest of a pool of 1500 labelled nodes chooses the epoch",
    "per_class_val": "30 labelled nodes per class choose the epoch; the thesis spent about 1500",
    "no_val": "no node chooses the epoch, the last one counts; the thesis spent about 1500 nodes "
    "on that choice",
    "grand_no_val": "the training and test nodes of protocol grand, the rest of whose pool is not "
    "used: no node chooses the epoch, the last one counts",
}


def write_results(folder: Path, layout: TableLayout, records: Sequence[Record]) -> Reproduction:
    """Write a table's packed records, numbers and picture, and the pages of the folder.

    The same records give the same bytes.

    Args:
        folder: Where to; made if it does not exist.
        layout: The table.
        records: All of its records, of one protocol.

    Returns:
        The table.

    Raises:
        ValueError: As :func:`reproduce` and :func:`results_pages`.
        OSError: If a file cannot be written.
    """
    result = reproduce(layout, records)
    packed, numbers, picture = (
        file_of(folder, layout.table, result.protocol, ending)
        for ending in (".jsonl.gz", ".csv", ".png")
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(packed, pack_records(records))
    write_whole(numbers, as_csv(result).encode())
    draw_reproduction(result, picture)
    for name, text in results_pages(folder).items():
        write_whole(folder / name, text.encode())
    return result


def results_pages(folder: Path) -> dict[str, str]:
    """Return the pages of a folder by the names of their files.

    There is one per table and protocol with packed records, for example ``table-4.3-no_val.md``,
    and the list of them, :data:`PAGE`. The texts depend on the records and, for the command that
    made them, on the name of the folder.

    Raises:
        ValueError: If there are none, or a file is broken.
    """
    tables = packed_tables(folder)
    if not tables:
        raise ValueError(f"expected packed records in {folder} (got none)")
    pages, rows = {}, []
    for table, protocol in tables:
        path = file_of(folder, table, protocol, ".jsonl.gz")
        records = list(unpack_records(load_records([path])))
        result = reproduce(LAYOUTS[table], records)
        name = file_of(folder, table, protocol, ".md").name
        pages[name] = _page(result, records, folder)
        datasets = ", ".join(dict.fromkeys(c.dataset for c in result.cells if c.runs + c.failed))
        link = f"[{table}]({name})"
        rows.append((link, _title(result), datasets, str(len(records)), _plain(counts(result))))
    head = ("table", "contents", "data sets", "runs", "outcome")
    lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
    # Last, so that a list that is written has its pages.
    return {**pages, PAGE: "\n\n".join([_TITLE, _plain(_HEAD), _LIST, "\n".join(lines)]) + "\n"}


def _title(result: Reproduction) -> str:
    own = "" if result.protocol == "grand" else f", protocol {result.protocol}"
    return _plain(f"{result.layout.title}{own}")


def _page(result: Reproduction, records: Sequence[Record], folder: Path) -> str:
    layout = result.layout
    command, remarks = rebuild_command(layout, result.protocol, records, folder)
    picture = file_of(folder, layout.table, result.protocol, ".png").name
    epoch = "the last epoch" if result.protocol in UNVALIDATED else "the best validation epoch"
    parts = [
        f"# Table {layout.table}: {_title(result)}",
        _plain(_HEAD),
        f"```bash\n{command}\n```",
        _plain(f"Protocol {result.protocol}: {_PROTOCOLS[result.protocol]}. \"ours\" is the test "
               f"accuracy at the end time and {epoch}; \"last epoch\" needs no "
               "validation nodes. Mean and standard deviation over splits, seeds averaged within "
               "each."),
        f"**{_plain(counts(result))}**",
        accuracy_tables(result, "markdown"),
        f"![Table {layout.table}, ours and the thesis's]({picture})",
    ]  # fmt: skip
    if result.paired:
        parts += ["## Over identical splits", paired_table(result, "markdown")]
        parts += [
            t_test_table(table, result, "markdown")
            for table, part in TEST_LAYOUTS.items()
            if part.table == layout.table and has_t_tests(table, result)
        ]
    notes = [*remarks, *_notes(result, records), *layout.notes]
    return "\n\n".join([*parts, "## Notes", "\n".join(f"- {_plain(n)}" for n in notes)]) + "\n"


def _notes(result: Reproduction, records: Sequence[Record]) -> list[str]:
    notes = [
        f"Verdicts: Welch's t-test of our splits against the thesis's mean and deviation with "
        f"n = {SPLITS}, two-sided, corrected by Holm for all tested cells of the table. \"n.s.\" "
        f"(not significant, p >= {LEVEL}) is no proof that the two are equal: the interval (not "
        f"corrected) shows how large a difference remains possible.",
        f"n is {SPLITS}, the thesis's splits, and not {SPLITS} x {SEEDS}, its runs: seeds are no "
        f"independent evidence about splits, and Table 4.4 computes with {SPLITS} too. Whether "
        f"the printed deviation is one of splits or of runs is not said.",
        "Our splits are drawn like those of GRAND's official code from the seeds 0, 1, ...; the "
        "thesis does not list its seeds, so they are not known to be the same draws, and no test "
        "against the thesis is paired. Comparisons among our own models are.",
    ]  # fmt: skip
    if result.paired:
        notes.append(
            f"Paired differences: t-tests over the splits that {result.layout.baseline} and the "
            "model share, Holm's correction over all of them, for each of the two accuracies on "
            "its own; d_z is the mean difference over its standard deviation."
        )
    notes += _model_notes(records)
    failed = sum(cell.failed for cell in result.cells)
    notes.append(
        f"{failed} of {len(records)} runs failed; failed runs are in no mean." if failed else
        f"None of {len(records)} runs failed."
    )  # fmt: skip
    theirs = {cell.variant.name for cell in result.layout.cells}
    left = {
        "models": theirs - {cell.model for cell in result.cells if cell.runs + cell.failed},
        "data sets": {c.dataset for c in result.layout.cells} - {c.dataset for c in result.cells},
    }
    notes += [f"Not run of the thesis's {what}: {', '.join(sorted(names))}."
              for what, names in left.items() if names]  # fmt: skip
    return [*notes, _provenance(records)]


def _model_notes(records: Sequence[Record]) -> list[str]:
    """Notes on differences between our models and the code of the papers."""
    notes = []
    if any(r.get("config", {}).get("layer_norm") for r in records):
        notes.append("Our diffusion models normalise the state before the decoder, which the "
                     "thesis does not mention.")  # fmt: skip
    families = {ZOO[r["model"]].settings for r in records if r["model"] in ZOO}
    if any(issubclass(family, GRANDSettings) for family in families):
        notes.append("GRAND and GRAND++ are the thesis's equations. GRAND's code tuned these "
                     "settings with a further term, beta x(0) with learned beta, which brings "
                     "GRAND-l on Cora to the thesis's accuracy at 20 labels (--learn-beta of "
                     "node_classify, see docs/results.md).")  # fmt: skip
        notes.append("GRAND's code chooses the time up to 3 T on the validation nodes too, for "
                     "every epoch, and so does a public copy of GRAND++'s; whether the thesis's "
                     "numbers are of that kind it does not say. Ours are at T: --best-time of "
                     "node_classify reports the others beside them (see "
                     "docs/results/few-labels.md).")  # fmt: skip
    return notes


def _provenance(records: Sequence[Record]) -> str:
    hours = sum(r.get("seconds") or 0.0 for r in records) / 3600
    parts = [f"{len(records)} runs in {hours:.2f} hours of training, summed over runs"]
    for word, name in (("on", "device"), ("by commit", "git_commit")):
        values = _distinct(r.get(name) for r in records)
        if values:
            parts.append(f"{word} {', '.join(values)}")
    versions = _distinct(
        f"{package} {number}"
        for r in records
        for package, number in sorted((r.get("versions") or {}).items())
    )
    return f"{', '.join([*parts, *versions])}."


def _distinct(values: Iterable[Any]) -> list[str]:
    return sorted({str(value) for value in values if value is not None})


def _plain(text: str) -> str:
    return paragraph(text, "markdown")

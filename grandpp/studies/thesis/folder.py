"""The folder of a reproduction: raw records, packed records and generated files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from grandpp.data import PROTOCOLS
from grandpp.studies.thesis.layouts import LAYOUTS, TableLayout
from grandpp.training.packing import unpack_records
from grandpp.training.reading import METRICS, load_records
from grandpp.training.records import Record, read_records, record_key
from grandpp.training.settings import Run, hash_choices
from grandpp.training.table_cells import cell_title


def file_of(folder: Path, table: str, protocol: str, ending: str) -> Path:
    """A file of a table, for example ``table-4.3.jsonl`` or ``table-4.3-no_val.png``."""
    suffix = "" if protocol == "grand" else f"-{protocol}"
    return folder / f"table-{table}{suffix}{ending}"


def packed_tables(folder: Path) -> list[tuple[str, str]]:
    """Tables and protocols with packed records in a folder, in the order of the thesis."""
    return [
        (table, protocol)
        for table in LAYOUTS
        for protocol in PROTOCOLS
        if file_of(folder, table, protocol, ".jsonl.gz").exists()
    ]


def table_records(folder: Path, table: str, protocol: str) -> list[Record]:
    """All records of a table in a folder, raw and packed, each run once.

    Raises:
        ValueError: If a file is broken, or two results of one run differ.
    """
    raw = file_of(folder, table, protocol, ".jsonl")
    packed = file_of(folder, table, protocol, ".jsonl.gz")
    own = read_records(raw) if raw.exists() else []
    return merge(own, unpack_records(load_records([packed])) if packed.exists() else [])


def adopt(paths: Sequence[Path], runs: Iterable[Run]) -> list[Record]:
    """Return the records of other files whose runs are wanted, and skip the others.

    A run is recognised by its choices. An earlier version may have hashed the same choices
    otherwise: such a record takes the present hash.

    Args:
        paths: Files, plain or compressed.
        runs: Runs that are wanted.

    Raises:
        ValueError: If a file is broken.
        OSError: If a file cannot be read.
    """
    keys = {run.key for run in runs}
    found = []
    for path in paths:
        for record in unpack_records(load_records([path])):
            renamed = {**record, "config_hash": _present_hash(record)}
            if record_key(renamed) in keys:
                found.append(renamed)
    return found


def _present_hash(record: Record) -> str:
    choices = record.get("config")
    return hash_choices(choices) if choices else str(record["config_hash"])


def merge(*sources: Iterable[Record]) -> list[Record]:
    """Every run once, from the first source that has it.

    Raises:
        ValueError: If two results of one run differ.
    """
    found: dict[tuple[Any, ...], Record] = {}
    for record in (record for source in sources for record in source):
        first = found.setdefault(record_key(record), record)
        differing = [m for m in METRICS if first.get(m) != record.get(m)]
        if differing:
            where = cell_title(record["dataset"], record["labels_per_class"])
            raise ValueError(
                f"expected one result per run (got {differing[0]} {first.get(differing[0])} and "
                f"{record.get(differing[0])} of {record['model']}, split {record['split']}, seed "
                f"{record['seed']} of {where}); leave one of them out"
            )
    return list(found.values())


def check_settings(
    layout: TableLayout, records: Iterable[Record], runs: Iterable[Run] = ()
) -> None:
    """Refuse two configurations in one cell, before anything is run or replaced.

    Args:
        layout: The table.
        records: Existing records.
        runs: Runs to be added. (default: ``()``)

    Raises:
        ValueError: If a cell would hold runs with different settings.
    """
    planned: Iterator[Record] = (
        {"model": run.model, "dataset": run.dataset, "labels_per_class": run.labels_per_class,
         "config_hash": run.config_hash, "config": run.choices()}
        for run in runs
    )  # fmt: skip
    hashes: dict[tuple[Any, ...], str] = {}
    for source in (records, planned):
        for record in source:
            variant, depth = layout.variant_of(record), layout.depth_of(record)
            labels = record["labels_per_class"]
            own = record["config_hash"]
            first = hashes.setdefault((record["dataset"], labels, depth, variant), own)
            if first != own:
                raise ValueError(
                    f"expected one configuration of {variant.name} on "
                    f"{cell_title(record['dataset'], labels)} (got {first} and {own}); for other "
                    f"settings choose another folder (--results)"
                )

"""Everything that is made from the records of a table, written whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grandpp.experiment.packing import pack_records
from grandpp.experiment.records import Record
from grandpp.experiment.reproduction.cells import Reproduction, reproduce
from grandpp.experiment.reproduction.figures import draw_reproduction
from grandpp.experiment.reproduction.folder import file_of
from grandpp.experiment.reproduction.layouts import Layout
from grandpp.experiment.reproduction.page import results_page
from grandpp.experiment.reproduction.tables import as_csv
from grandpp.experiment.saving import write_whole

PAGE = "RESULTS.md"
"""Name of the page of a folder."""


def write_results(folder: Path, layout: Layout, records: Sequence[Record]) -> Reproduction:
    """Write a table's packed records, numbers and picture, and the page of the folder.

    The same records give the same bytes.

    Args:
        folder: Where to; made if it does not exist.
        layout: The table.
        records: All of its records, of one protocol.

    Returns:
        The table.

    Raises:
        ValueError: As :func:`reproduce` and :func:`results_page`.
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
    write_whole(folder / PAGE, results_page(folder).encode())
    return result

"""Write all files generated from the records of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grandpp.studies.thesis.figures import draw_reproduction
from grandpp.studies.thesis.folder import file_of
from grandpp.studies.thesis.layouts import TableLayout
from grandpp.studies.thesis.page import results_page
from grandpp.studies.thesis.reproduced_cells import Reproduction, reproduce
from grandpp.studies.thesis.tables import as_csv
from grandpp.training.atomic_files import write_whole
from grandpp.training.packing import pack_records
from grandpp.training.records import Record

PAGE = "RESULTS.md"
"""Name of the page of a folder."""


def write_results(folder: Path, layout: TableLayout, records: Sequence[Record]) -> Reproduction:
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

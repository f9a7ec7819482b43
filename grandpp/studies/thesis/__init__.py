"""Tables of thesis chapter 4: their runs, our numbers beside the thesis's, and the pages."""

from grandpp.studies.thesis.figures import draw_reproduction
from grandpp.studies.thesis.folder import adopt, check_settings, file_of, merge, table_records
from grandpp.studies.thesis.layouts import LAYOUTS, TABLES, TEST_LAYOUTS, TableLayout
from grandpp.studies.thesis.page import PAGE, results_pages, write_results
from grandpp.studies.thesis.rebuilt_command import FOLDER
from grandpp.studies.thesis.reproduced_cells import Paired, Reproduced, Reproduction
from grandpp.studies.thesis.table_runs import TableRequest, with_graphs
from grandpp.studies.thesis.tables import (
    accuracy_tables,
    as_csv,
    counts,
    paired_table,
    t_test_table,
)

__all__ = [
    "FOLDER",
    "LAYOUTS",
    "PAGE",
    "TABLES",
    "TEST_LAYOUTS",
    "Paired",
    "Reproduced",
    "Reproduction",
    "TableLayout",
    "TableRequest",
    "accuracy_tables",
    "adopt",
    "as_csv",
    "check_settings",
    "counts",
    "draw_reproduction",
    "file_of",
    "merge",
    "paired_table",
    "results_pages",
    "t_test_table",
    "table_records",
    "with_graphs",
    "write_results",
]

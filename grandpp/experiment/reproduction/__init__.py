"""Tables of thesis chapter 4: their runs, our numbers beside the thesis's, and the page."""

from grandpp.experiment.reproduction.cells import Paired, Reproduced, Reproduction, reproduce
from grandpp.experiment.reproduction.command import FOLDER
from grandpp.experiment.reproduction.figures import draw_reproduction
from grandpp.experiment.reproduction.folder import (
    adopt,
    check_settings,
    file_of,
    merge,
    table_records,
)
from grandpp.experiment.reproduction.layouts import LAYOUTS, TABLES, TEST_LAYOUTS, Layout
from grandpp.experiment.reproduction.page import results_page
from grandpp.experiment.reproduction.plan import Request, with_graphs
from grandpp.experiment.reproduction.tables import (
    accuracy_tables,
    as_csv,
    counts,
    paired_table,
    t_test_table,
)
from grandpp.experiment.reproduction.writing import PAGE, write_results

__all__ = [
    "FOLDER",
    "LAYOUTS",
    "PAGE",
    "TABLES",
    "TEST_LAYOUTS",
    "Layout",
    "Paired",
    "Reproduced",
    "Reproduction",
    "Request",
    "accuracy_tables",
    "adopt",
    "as_csv",
    "check_settings",
    "counts",
    "draw_reproduction",
    "file_of",
    "merge",
    "paired_table",
    "reproduce",
    "results_page",
    "t_test_table",
    "table_records",
    "with_graphs",
    "write_results",
]

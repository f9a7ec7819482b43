"""Comparison of node classifiers on few labels."""

from grandpp.studies.low_label.comparison_tables import comparison_table
from grandpp.studies.low_label.plan import plan_runs, sort_records
from grandpp.studies.low_label.report import accuracy_table
from grandpp.studies.low_label.zoo import MODELS, ZOO, tuned_run

__all__ = [
    "MODELS",
    "ZOO",
    "accuracy_table",
    "comparison_table",
    "plan_runs",
    "sort_records",
    "tuned_run",
]

"""Configurations, training, records and statistics of experiments."""

from grandpp.experiment.build import build_model, build_optimizer
from grandpp.experiment.comparison import Comparison, compare
from grandpp.experiment.comparison_tables import comparison_table
from grandpp.experiment.config import RunConfig, with_run
from grandpp.experiment.plan import plan_runs, sort_records
from grandpp.experiment.pools import WorkerError
from grandpp.experiment.reading import load_records
from grandpp.experiment.records import (
    Record,
    append_record,
    make_record,
    read_records,
    record_key,
)
from grandpp.experiment.registry import MODELS
from grandpp.experiment.report import accuracy_table
from grandpp.experiment.result import RunResult
from grandpp.experiment.settings import tuned_config
from grandpp.experiment.statistics import PairedDifference, Summary, paired_difference, summarize
from grandpp.experiment.sweep import run_sweep
from grandpp.experiment.train import train_run

__all__ = [
    "MODELS",
    "Comparison",
    "PairedDifference",
    "Record",
    "RunConfig",
    "RunResult",
    "Summary",
    "WorkerError",
    "accuracy_table",
    "append_record",
    "build_model",
    "build_optimizer",
    "compare",
    "comparison_table",
    "load_records",
    "make_record",
    "paired_difference",
    "plan_runs",
    "read_records",
    "record_key",
    "run_sweep",
    "sort_records",
    "summarize",
    "train_run",
    "tuned_config",
    "with_run",
]

"""Configurations, training, records and statistics of experiments."""

from grandpp.training.build import build_model, build_optimizer
from grandpp.training.comparison import Comparison, compare
from grandpp.training.config import RunConfig, with_run
from grandpp.training.loop import train_run
from grandpp.training.pools import WorkerError
from grandpp.training.reading import load_records
from grandpp.training.record_file import Record, append_record
from grandpp.training.records import make_record, read_records, record_key
from grandpp.training.registry import MODELS
from grandpp.training.result import RunResult
from grandpp.training.settings import tuned_config
from grandpp.training.statistics import PairedDifference, Summary, paired_difference, summarize
from grandpp.training.sweep import run_sweep

__all__ = [
    "MODELS",
    "Comparison",
    "PairedDifference",
    "Record",
    "RunConfig",
    "RunResult",
    "Summary",
    "WorkerError",
    "append_record",
    "build_model",
    "build_optimizer",
    "compare",
    "load_records",
    "make_record",
    "paired_difference",
    "read_records",
    "record_key",
    "run_sweep",
    "summarize",
    "train_run",
    "tuned_config",
    "with_run",
]

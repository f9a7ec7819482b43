"""Settings, training, records and statistics of runs."""

from grandpp.training.loggers import EpochValues, Logger, RunLog
from grandpp.training.loop import train_run
from grandpp.training.pools import WorkerError
from grandpp.training.reading import load_records
from grandpp.training.record_file import Record, append_record
from grandpp.training.records import make_record, read_records, record_key
from grandpp.training.result import RunResult
from grandpp.training.settings import ModelSettings, Run, TrainedSettings, build_optimizer
from grandpp.training.statistics import PairedDifference, Summary, paired_difference, summarize
from grandpp.training.sweep import run_sweep

__all__ = [
    "EpochValues",
    "Logger",
    "ModelSettings",
    "PairedDifference",
    "Record",
    "Run",
    "RunLog",
    "RunResult",
    "Summary",
    "TrainedSettings",
    "WorkerError",
    "append_record",
    "build_optimizer",
    "load_records",
    "make_record",
    "paired_difference",
    "read_records",
    "record_key",
    "run_sweep",
    "summarize",
    "train_run",
]

"""Search settings by Optuna (Akiba et al. 2019), which is imported here alone.

A trial trains a model on several splits; its value is the mean of their validation accuracies, each
at the best epoch. The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011),
seeded anew for every trial by the number of trials before it: what a trial tries depends on the
results of those before it, and not on whether the program was interrupted in between.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from torch_geometric.data import Data

from grandpp.studies.low_label.search_space import Choice, Range, SearchSpace
from grandpp.training.json_lines import to_json
from grandpp.training.loggers import EpochValues
from grandpp.training.loop import record_run
from grandpp.training.records import Record, has_failed
from grandpp.training.result import DivergedError
from grandpp.training.settings import Run
from grandpp.training.threads import Threads

REPORTS = 10
"""Reports of a run to the pruner."""

_WARMUP = 3  # reports of a trial before it can be pruned
_STARTUP = 5  # trials without pruning, and half of those that are drawn at random


@dataclass(frozen=True)
class Plan:
    """What is searched on one graph.

    Args:
        run: The run with its present settings, on any split.
        data: The graph.
        splits: Splits that every trial trains on.
        space: What is searched.
        start: Values that the first trial takes: the present ones.
    """

    run: Run
    data: Data
    splits: range
    space: SearchSpace
    start: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the study in its file."""
        run = self.run
        return f"{run.dataset} {run.model} {run.labels_per_class} {run.protocol}"

    def about(self) -> dict[str, Any]:
        """Everything that values of trials depend on, in JSON."""
        fixed = {k: v for k, v in self.run.choices().items() if k not in (*self.space, "split")}
        space = {name: repr(dimension) for name, dimension in self.space.items()}
        return {"settings": fixed, "splits": [self.splits.start, self.splits.stop], "space": space}

    def with_values(self, values: Mapping[str, Any]) -> Run:
        """The run with other values of what is searched.

        Raises:
            ValueError: If the model does not take them.
        """
        # Present values stay as they are named, which decides the hash of the run.
        changed = {k: v for k, v in values.items() if v != self.start.get(k)}
        return self.run.with_settings(**changed)


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Args:
        trials: Number of trials that are done.
        pruned, failed: Number of those that were pruned, and that failed or were not possible.
        best: Values of the best trial; ``None`` without a complete one.
        best_trial: Its number.
        val_accuracy: Its value.
        start_trial, start_val_accuracy: Number and value of the trial with the present settings,
            if they were tried.
    """

    trials: int
    pruned: int
    failed: int
    best: Mapping[str, Any] | None = None
    best_trial: int | None = None
    val_accuracy: float | None = None
    start_trial: int | None = None
    start_val_accuracy: float | None = None


@dataclass
class Search:
    """A study of Optuna that can be interrupted and continued.

    Args:
        plan: What is searched.
        file: Journal of the study, which may have several; created if it is missing.
            (``None``: the study is kept in memory)
        seed: Seed of the sampler.
        device: Where to run.
        threads: Threads of a run on the CPU.
        on_epoch: Called after every epoch with the number of the trial and the split.
        on_failure: Called with a sentence about a trial that failed or was not possible.

    Raises:
        ValueError: If the file is no journal, or has the study with other options.
    """

    plan: Plan
    file: Path | None
    seed: int
    device: torch.device
    threads: Threads
    on_epoch: Callable[[int, int], object] = lambda trial, split: None
    on_failure: Callable[[str], object] = lambda message: None
    _study: optuna.Study = field(init=False)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with _whole_writes():
            self._study = optuna.create_study(
                storage=None if self.file is None else _open(self.file),
                study_name=self.plan.name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(_STARTUP, _WARMUP),
            )
            about = _plain(self.plan.about())
            there = self._study.user_attrs.get("about")
            if there is None:
                self._study.set_user_attr("about", about)
            elif there != about:
                raise ValueError(
                    f"expected the options that '{self.plan.name}' in {self.file} was begun with "
                    f"({_difference(there, about)}), or another --study"
                )

    def done(self) -> list[FrozenTrial]:
        """The trials that count: complete and pruned ones."""
        return self._study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
        )

    def run_trials(self, number: int, on_trial: Callable[[], object] = lambda: None) -> None:
        """Do trials until there are so many, those of earlier calls included.

        Args:
            number: Number of trials.
            on_trial: Called after every trial.
        """
        while len(self.done()) < number:
            self._run_trial()
            on_trial()

    def _run_trial(self) -> None:
        with _whole_writes():
            trial = self._begin()
        try:
            with _whole_writes():
                values = {name: _suggest(trial, name, d) for name, d in self.plan.space.items()}
            value = self._value(trial, values)
        except optuna.TrialPruned:
            with _whole_writes():
                self._study.tell(trial, state=TrialState.PRUNED)
        except BaseException:
            with _whole_writes():
                self._study.tell(trial, state=TrialState.FAIL)  # it does not count
            raise
        else:
            with _whole_writes():
                self._study.tell(trial, value)

    def _begin(self) -> optuna.Trial:
        """Begin a trial; the first one takes the present settings."""
        before = [t for t in self._study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
        if not before:
            self._study.enqueue_trial(dict(self.plan.start))
        seed = np.random.SeedSequence([self.seed, len(before)]).generate_state(1)[0]
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=2 * _STARTUP, seed=int(seed)
        )
        return self._study.ask()

    def _value(self, trial: optuna.Trial, values: dict[str, Any]) -> float:
        """The mean validation accuracy over splits.

        Raises:
            TrialPruned: If it is no good, the model does not take the values, or a run fails.
        """
        plan = self.plan
        for name, value in values.items():
            values[name] = value if value == plan.start.get(name) else _short(value)
        accuracies: list[float] = []
        try:
            run = plan.with_values(values)
            with _whole_writes():
                trial.set_user_attr("values", values)
            for place, split in enumerate(plan.splits):
                log = _Reports(self, trial, run.settings.epochs, place, sum(accuracies), split)
                accuracies.append(self._accuracy(run.on(split), log))
        except (ValueError, DivergedError) as error:
            self._fail(trial, str(error))
        return float(np.mean(accuracies))

    def _accuracy(self, run: Run, log: _Reports) -> float:
        """The validation accuracy of a run.

        Raises:
            DivergedError: If the run fails.
            ValueError: If the model does not take its settings, or nothing validates.
        """
        with self.threads.limit(run, self.plan.data):
            record = record_run(run, self.plan.data, self.device, logger=log)
        if has_failed(record):
            raise DivergedError(f"{record['status']}: {record['message']}")
        if record["val_accuracy"] is None:
            raise ValueError(f"expected validation nodes in split {run.split} (got none)")
        return float(record["val_accuracy"])

    def _fail(self, trial: optuna.Trial, message: str) -> NoReturn:
        """Count a trial as one of the worst: left out, it would be suggested again."""
        with _whole_writes():
            trial.set_user_attr("failure", message)
        self.on_failure(f"trial {trial.number}: {message}")
        raise optuna.TrialPruned(message)

    def outcome(self) -> Outcome:
        """What has been found so far."""
        trials = self.done()
        complete = [t for t in trials if t.state == TrialState.COMPLETE]
        failed = sum("failure" in t.user_attrs for t in trials)
        counts = (len(trials), len(trials) - len(complete) - failed, failed)
        if not complete:
            return Outcome(*counts)
        best = max(complete, key=lambda t: float(t.value or 0))  # the first of equal ones
        present = _plain(self.plan.start)
        start = next((t for t in complete if t.user_attrs["values"] == present), None)
        found = (None, None) if start is None else (start.number, start.value)
        return Outcome(*counts, best.user_attrs["values"], best.number, best.value, *found)


@dataclass
class _Reports:
    """Reports the validation accuracy of a run to the pruner, and follows its epochs.

    What is reported is the sum of the best accuracies so far over the number of splits: it grows
    along a trial, and is the value of the trial at its end, so that trials compare at equal steps.
    """

    search: Search
    trial: optuna.Trial
    epochs: int
    place: int
    earlier: float
    split: int
    best: float = 0.0

    def begin(self, run: Run) -> _Reports:
        """Follow the run."""
        return self

    def epoch(self, values: EpochValues) -> None:
        """Report, ten times in a run, and end the trial where others were better by now."""
        self.best = max(self.best, values.val_accuracy or 0.0)
        self.search.on_epoch(self.trial.number, self.split)
        every = -(-self.epochs // REPORTS) if self.epochs else 1
        if values.epoch % every and values.epoch != self.epochs:
            return
        step = self.place * REPORTS + (-(-values.epoch // every) or 1)
        with _whole_writes():
            self.trial.report((self.earlier + self.best) / len(self.search.plan.splits), step)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    def end(self, record: Record | None) -> None:
        """Nothing: the value of the trial is told by the search."""


def _suggest(trial: optuna.Trial, name: str, dimension: Range | Choice) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.integer:
        low, high = int(dimension.low), int(dimension.high)
        return trial.suggest_int(name, low, high, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _short(value: Any) -> Any:
    """A number with three digits, as a row of settings has it."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _open(path: Path) -> JournalStorage:
    """Open a journal; a last line that a killed process left unfinished is removed.

    Raises:
        ValueError: If it is no journal.
    """
    lock = JournalFileOpenLock(str(path))
    if path.exists():
        lock.acquire()
        try:
            content = path.read_bytes()
            if not content.endswith(b"\n") and content.startswith(b'{"op_code"'):
                with path.open("r+b") as file:
                    file.truncate(content.rfind(b"\n") + 1)
        finally:
            lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock))
    except OSError:
        raise
    except Exception as error:  # other files raise anything, from KeyError to AssertionError
        raise ValueError(f"expected a journal of 'grandpp tune' in {path}") from error


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as it comes back from a journal."""
    found: dict[str, Any] = json.loads(to_json(dict(value)))
    return found


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What differs between two descriptions, in words."""
    words = []
    for part in here:
        old, new = there.get(part), here[part]
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
            words += [f"{k}: {old.get(k)} there, {new.get(k)} here" for k in names]
        elif old != new:
            words.append(f"{part}: {old} there, {new} here")
    return "; ".join(words)


@contextmanager
def _whole_writes() -> Iterator[None]:
    """Let Ctrl-C wait until the journal is written: a lock left behind holds others up."""
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()  # signals belong to it
    if not is_main or before in (signal.SIG_IGN, None):
        yield
        return
    caught: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if caught:
            signal.raise_signal(signal.SIGINT)

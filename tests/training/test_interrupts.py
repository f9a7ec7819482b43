"""Ctrl-C ends a sweep also where Python drops the exception that it raises."""

from __future__ import annotations

import signal
import sys
import threading

import pytest
import torch

from grandpp.data import load_dataset
from grandpp.studies.low_label import plan_runs
from grandpp.training import run_sweep
from grandpp.training.interrupts import Interrupts


class Pressed:
    """Ctrl-C is pressed while this is finalized, where Python ignores what is raised."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_that_a_finalizer_drops_ends_the_sweep(workers):
    runs = plan_runs([load_dataset("sbm")], ["mlp"], [1], range(12), epochs=1)
    records = []

    def on_record(record):
        records.append(record)
        Pressed()

    with pytest.raises(KeyboardInterrupt):
        run_sweep(runs, torch.device("cpu"), on_record, progress=False, workers=workers)
    assert len(records) < 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Broken:
    """Something else fails while this is finalized."""

    def __del__(self):
        raise OSError("a fault")


def test_a_dropped_interrupt_is_not_printed_but_other_faults_are(monkeypatch):
    printed = []

    def hook(what):
        printed.append(what.exc_type)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        Pressed()
        Broken()
        interrupts.check()
    assert printed == [OSError]
    assert sys.unraisablehook is hook


def test_without_an_interrupt_nothing_is_raised_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        interrupts.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_than_the_main_one_may_open_it():
    failures = []

    def enter():
        try:
            with Interrupts() as interrupts:
                interrupts.check()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not failures

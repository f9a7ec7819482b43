"""Pools of processes: what they print when they end."""

from __future__ import annotations

import threading

import pytest

from grandpp.training.pools import quiet_manager


def fail() -> None:
    raise OSError("handle is closed")


@pytest.mark.parametrize(("name", "told"), [("ExecutorManagerThread", 0), ("other", 1)])
def test_only_the_manager_of_killed_processes_fails_in_silence(name, told, monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    before = threading.excepthook
    with quiet_manager():
        thread = threading.Thread(target=fail, name=name)
        thread.start()
        thread.join()
    assert len(seen) == told
    assert threading.excepthook == before

"""Whole files or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grandpp.training.atomic_files import check_target, write_whole


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_target_that_is_no_file_is_refused(tmp_path):
    check_target(tmp_path / "a.csv")
    for path in (tmp_path, tmp_path / "nowhere" / "a.csv"):
        with pytest.raises(ValueError, match="expected"):
            check_target(path)


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/null", "/proc/self/fd/1"])
def test_devices_are_not_replaced(path):
    with pytest.raises(ValueError, match="can be replaced"):
        check_target(Path(path))


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.csv").write_bytes(b"old")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real.csv")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"new"

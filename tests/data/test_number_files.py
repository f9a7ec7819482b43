"""Plain files of numbers: found in the first folder that has them, refused if anything else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from grandpp.data.errors import DatasetIntegrityError, DatasetNotFoundError
from grandpp.data.number_files import find_folder, number_table, read_array


@pytest.fixture(autouse=True)
def no_other_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path / "shared"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def has_table(folder: Path) -> bool:
    return (folder / "table.csv").is_file()


def test_the_callers_folder_comes_first_and_a_folder_without_the_files_does_not_count(tmp_path):
    for name in ("own", "shared"):
        (tmp_path / name / "Set" / "raw").mkdir(parents=True)
    there = tmp_path / "shared" / "Set" / "raw"
    (there / "table.csv").touch()
    assert find_folder(tmp_path / "own", "Set", has_table, "table.csv") == there
    (tmp_path / "own" / "Set" / "raw" / "table.csv").touch()
    assert find_folder(tmp_path / "own", "Set", has_table, "table.csv") == (
        tmp_path / "own" / "Set" / "raw"
    )


def test_files_that_are_nowhere_are_missed_with_what_to_do(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"looked in .*own.*put table\.csv into") as told:
        find_folder(tmp_path / "own", "Set", has_table, "table.csv")
    assert "<folder>/Set/raw" in str(told.value)


def test_a_table_has_the_first_columns_below_the_header():
    table = number_table(b"a,b,c\n1,2,x\n-3.5,4e2,y\n", Path("t.csv"), 2)
    np.testing.assert_array_equal(table, [[1, 2], [-3.5, 400]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a header and lines"),
        (b"a,b\n", "a header and lines"),
        (b"a,b\n1,2\n", "at least 2 rows"),
        (b"a,b\n1,2\n3\n", "2 columns of numbers"),
        (b"a,b\n1,2\n3,four\n", "2 columns of numbers"),
        (b"a,b\n1,2\n3,nan\n", "finite numbers"),
        (b"a,b\n1,2\n3,inf\n", "finite numbers"),
    ],
)
def test_a_table_of_something_else_is_refused(content, words):
    with pytest.raises(DatasetIntegrityError, match=rf"refused t\.csv: .*{words}"):
        number_table(content, Path("t.csv"), 2)


@pytest.mark.parametrize("kind", ["<f4", "<f8", "<i2", "|u1"])
def test_an_array_of_numbers_is_read_as_float64(tmp_path, kind):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1, 2], [3, 4]], dtype=kind))
    found = read_array(path, 2)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "array",
    [
        np.ones(3),
        np.ones((2, 3)),
        np.array([["a", "b"]]),
        np.array([[1.0, np.nan]]),
        np.array([[1.0, np.inf]]),
        np.array([[1 + 2j, 3]]),
    ],
)
def test_an_array_of_something_else_is_refused(tmp_path, array):
    path = tmp_path / "a.npy"
    np.save(path, array)
    with pytest.raises(DatasetIntegrityError, match=r"refused .*a\.npy"):
        read_array(path, 2)


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04broken"])
def test_a_file_that_is_no_array_is_refused(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DatasetIntegrityError, match=r"expected a \.npy array"):
        read_array(path, 2)


def test_an_archive_and_pickled_objects_are_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    np.save(tmp_path / "o.npy", np.array([[Evil(), Evil()]], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "z.npy", "w") as archive:
        archive.writestr("x.npy", b"")
    for name in ("o.npy", "z.npy", "none.npy"):
        with pytest.raises(DatasetIntegrityError, match="refused"):
            read_array(tmp_path / name, 2)
    assert not (tmp_path / "owned").exists()

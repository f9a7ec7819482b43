"""Shards that are incomplete, damaged or made for another job are refused before training."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from commands import main_of
from sharded import shards_of, undirected

from grandpp.distributed import ShardError, read_shard
from grandpp.distributed.arrays import described, file_digest, write_json
from grandpp.distributed.train_command import COMMAND

main = main_of(COMMAND, "grandpp train-sharded")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return shards_of(undirected(), tmp_path_factory.mktemp("good"), 1)


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "shards")


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit(path):
    path.write_text(path.read_text().replace('"interior": 120', '"interior": 7'))


def retype(path):
    np.save(path, np.load(path).astype(np.float32))


def other_pickle(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("part-00000", shutil.rmtree, "there is none"),
        ("shards.json", lambda path: path.unlink(), "expected a file of 'grandpp partition'"),
        ("shards.json", cut, "expected JSON"),
        ("part-00000/part.json", edit, "was changed"),
        ("part-00000/part.json", lambda path: path.write_text("[]"), "was changed"),
        ("part-00000/x.npy", cut, "truncated or damaged"),
        ("part-00000/col.npy", cut, "truncated or damaged"),
        ("part-00000/col.npy", flip, "the digest differs"),
        ("part-00000/y.npy", lambda path: path.unlink(), "there is none"),
        ("part-00000/y.npy", retype, "expected int64 [120] (got float32"),
        ("part-00000/y.npy", other_pickle, "expected int64 [120] (got object"),
        ("part-00000/y.npy", lambda path: path.write_bytes(b"no array"), "expected an NPY file"),
    ],
)
def test_a_damaged_shard_is_one_line_and_exit_code_two(folder, capsys, name, damage, words):
    damage(folder / name)
    assert main([str(folder), "--epochs", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("grandpp train-sharded: error: ")
    assert words in error and str(folder) in error


def forge(folder, name, array):
    """Replace an array, and make all digests fit."""
    home = folder / "part-00000"
    np.save(home / f"{name}.npy", array)
    about = json.loads((home / "part.json").read_text())
    del about["digest"]
    about["arrays"][name] = described(home / f"{name}.npy")
    write_json(home / "part.json", about)
    info = json.loads((folder / "shards.json").read_text())
    del info["digest"]
    info["part_digests"][0] = file_digest(home / "part.json")
    write_json(folder / "shards.json", info)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("col", lambda a: a + 1, r"in \[0, 120\)"),
        ("col", lambda a: a - 1, r"in \[0, 120\)"),
        ("rowptr", lambda a: a[::-1].copy(), "row offsets"),
        ("y", lambda a: a + 50, "classes below 3"),
        ("component", lambda a: a + 50, "expected numbers in"),
        ("send", lambda a: np.array([1]), r"expected shape \[0\]"),
        ("nodes", lambda a: a[:-1], r"expected shape \[120\]"),
        ("x", lambda a: a[:, :-1].copy(), r"expected shape \[120, 20\]"),
    ],
)
def test_indices_that_kernels_trust_are_checked(folder, name, change, words):
    forge(folder, name, change(np.load(folder / f"part-00000/{name}.npy")))
    with pytest.raises(ShardError, match=words):
        read_shard(folder, 0)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"target": np.zeros(120, np.int64)}, "'target' and 'target_weight', or neither"),
        ({"target": np.full(120, 3), "target_weight": np.ones(120)}, r"in \[0, 3\)"),
        ({"target": np.zeros(120, np.int64), "target_weight": -np.ones(120)}, "none negative"),
        ({"target": np.zeros(120, np.int64), "target_weight": np.full(120, np.nan)}, "finite"),
        ({"target_proba": np.full((120, 3), -0.1, np.float32)}, r"probabilities in \[0, 1\]"),
        ({"target_proba": np.full((120, 3), np.nan, np.float32)}, r"probabilities in \[0, 1\]"),
        ({"target_proba": np.ones((120, 2), np.float32)}, r"expected shape \[120, 3\]"),
    ],
)
def test_targets_are_checked(folder, arrays, words):
    for name, array in arrays.items():
        forge(folder, name, array)
    with pytest.raises(ShardError, match=words):
        read_shard(folder, 0)


def test_a_shard_of_others_is_refused(good, tmp_path):
    other = undirected()
    other.y = other.y.roll(1)
    folder = shards_of(other, tmp_path, 1)
    shutil.copytree(good / "part-00000", folder / "part-00000", dirs_exist_ok=True)
    with pytest.raises(ShardError, match="got one of others"):
        read_shard(folder, 0)


def test_another_number_of_ranks_is_named(tmp_path, capsys):
    folder = shards_of(undirected(), tmp_path, 2)
    assert main([str(folder), "--epochs", "1"]) == 2
    assert "expected 2 ranks" in capsys.readouterr().err
    assert main([str(folder), "--processes", "3"]) == 2
    assert "expected shards for 3 ranks (got 2 parts)" in capsys.readouterr().err
    with pytest.raises(ShardError, match="part below 2"):
        read_shard(folder, 2)


def test_dense_features_are_mapped_not_read(good):
    x = read_shard(good, 0).x
    assert isinstance(x, torch.Tensor) and x.shape == (120, 20)

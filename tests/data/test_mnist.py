"""The idx format."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from small_images import idx, register, write_mnist

from grandpp.data import DatasetIntegrityError, load_images
from grandpp.data.mnist import read_idx

GOOD = idx(np.arange(24).reshape(2, 3, 4))


def test_values_come_row_by_row_packed_or_plain():
    for name, content in (("a", GOOD), ("a.gz", gzip.compress(GOOD, mtime=0))):
        np.testing.assert_array_equal(read_idx(name, content, 3), np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut off", GOOD[:-1]),
        ("too long", GOOD + b"\0"),
        ("header alone", GOOD[:9]),
        ("empty", b""),
        ("floats", b"\0\0\x0d\3" + GOOD[4:]),
        ("labels", idx(np.arange(5))),
        ("forged sizes", GOOD[:4] + b"\xff" * 12 + GOOD[16:]),
        ("cut.gz", gzip.compress(GOOD, mtime=0)[:-5]),
        ("none.gz", GOOD),
    ],
)
def test_anything_else_is_refused(name, content):
    with pytest.raises(ValueError, match="expected"):
        read_idx(name, content, 3)


def test_labels_that_do_not_belong_to_the_images_are_refused(tmp_path, monkeypatch):
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw)
    for labels in (np.arange(9), np.full(10, 11)):
        (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
        register(monkeypatch, "mnist", raw)
        with pytest.raises(DatasetIntegrityError, match="one label from 0 to 9"):
            load_images("mnist", tmp_path)


@pytest.mark.parametrize("parts", [("train", "t10k"), ("t10k",)])
def test_plain_files_with_fewer_digits_than_published_are_refused(tmp_path, monkeypatch, parts):
    write_mnist(tmp_path / "MNIST" / "raw", parts=parts, packed=False)
    monkeypatch.setattr("grandpp.data.mnist.SIZES", {"train": 10, "t10k": 10})
    load_images("mnist", tmp_path, download=False)
    monkeypatch.setattr("grandpp.data.mnist.SIZES", {"train": 10, "t10k": 12})
    words = r"t10k-images-idx3-ubyte: expected the 12 images .*\(got 10\)"
    with pytest.raises(DatasetIntegrityError, match=words):
        load_images("mnist", tmp_path, download=False)
    load_images("mnist", tmp_path, download=False, check_size=False)

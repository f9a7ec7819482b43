"""The binary version of CIFAR-10: its records, parts of it, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small_images import register, write_binary_cifar, write_cifar

from grandpp.data import DatasetIntegrityError, load_images
from grandpp.data.cifar_binary import read_records

DATA = os.environ.get("GRANDPP_DATA", "")
RECORD = bytes([7]) + bytes(range(256)) * 12


def raw(root: Path) -> Path:
    return root / "CIFAR10" / "raw"


def binary(root: Path) -> Path:
    return raw(root) / "cifar-10-batches-bin"


def test_a_record_is_a_label_and_three_planes_of_rows():
    images, labels = read_records("a.bin", RECORD)
    assert labels.tolist() == [7] and labels.dtype == np.int64
    assert images.shape == (1, 3, 32, 32)
    np.testing.assert_array_equal(images.reshape(-1), np.frombuffer(RECORD[1:], dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"records of 3073 bytes in a\.bin \(got 0 bytes, 0 records and 0 bytes"),
        (RECORD[:-1], r"got 3,072 bytes, 0 records and 3072 bytes: the file may be cut off"),
        (2 * RECORD + b"\0", r"got 6,147 bytes, 2 records and 1 bytes"),
        (RECORD + bytes([10]) + RECORD[1:], r"labels from 0 to 9 in a\.bin \(got 10 in record 2"),
        (10_001 * RECORD, r"at most 10,000 records in a\.bin \(got 10,001\)"),
    ],
    ids=["empty", "cut off", "too long", "label", "too many"],
)
def test_anything_else_is_refused(content, words):
    with pytest.raises(ValueError, match=words):
        read_records("a.bin", content)


def test_a_part_is_taken_and_the_note_says_how_much_of_the_whole_it_is(tmp_path):
    batches = write_binary_cifar(binary(tmp_path), ("data_batch_2", "data_batch_4", "test_batch"))
    split = load_images("cifar10", tmp_path, download=False)
    expected = [batches[f"data_batch_{n}"] for n in (2, 4)]
    assert split.train_labels.tolist() == [y for batch in expected for y in batch[b"labels"]]
    pixels = torch.as_tensor(expected[1][b"data"][2].reshape(3, 32, 32) / 255).float()
    torch.testing.assert_close(split.train_images[5], pixels)
    assert split.test_labels.tolist() == batches["test_batch"][b"labels"]
    assert split.partial and split.note == (
        "6 of 50,000 training and 3 of 10,000 test images of the binary version"
    )


def test_all_files_are_the_published_images(tmp_path, monkeypatch):
    monkeypatch.setattr("grandpp.data.cifar_binary.BATCH", 3)
    names = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
    write_binary_cifar(binary(tmp_path), names)
    split = load_images("cifar10", tmp_path, download=False)
    assert not split.partial and split.note == "training and test images as published"
    # The two versions of the same images give the same split.
    other = tmp_path / "other"
    write_cifar(raw(other))
    register(monkeypatch, "cifar10", raw(other))
    archive = load_images("cifar10", other, download=False)
    assert torch.equal(archive.train_images, split.train_images)
    assert torch.equal(archive.test_labels, split.test_labels)


def test_the_archive_goes_before_the_binary_version_of_the_same_folder(tmp_path, monkeypatch):
    write_cifar(raw(tmp_path))
    write_binary_cifar(binary(tmp_path))
    register(monkeypatch, "cifar10", raw(tmp_path))
    assert not load_images("cifar10", tmp_path, download=False).partial


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), r"one or more of data_batch_1\.bin to data_batch_5\.bin in .*bin \(got none\)"),
        (("data_batch_1",), r"expected test_batch\.bin in .*cifar-10-batches-bin \(got none\)"),
        (("test_batch",), r"one or more of data_batch_1\.bin"),
    ],
)
def test_a_folder_without_the_files_is_refused(tmp_path, names, words):
    write_binary_cifar(binary(tmp_path), names)
    with pytest.raises(DatasetIntegrityError, match=words):
        load_images("cifar10", tmp_path, download=False)


def test_a_damaged_file_is_named(tmp_path):
    write_binary_cifar(binary(tmp_path))
    file = binary(tmp_path) / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-9])
    words = r"files of cifar10 cannot be read: .*test_batch\.bin .*cut off"
    with pytest.raises(DatasetIntegrityError, match=words):
        load_images("cifar10", tmp_path, download=False)


@pytest.mark.realdata
@pytest.mark.skipif(
    not (binary(Path(DATA)) / "test_batch.bin").is_file(), reason="GRANDPP_DATA has no CIFAR-10"
)
def test_the_real_images_have_the_published_first_labels():
    split = load_images("cifar10", DATA, download=False)
    assert split.image_shape == (3, 32, 32)
    assert split.test_labels[:5].tolist() == [3, 8, 8, 0, 6]  # cat, ship, ship, airplane, frog
    assert split.train_labels[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, deer, car
    if split.partial:
        assert f"{len(split.train_labels):,} of 50,000 training" in split.note
    # The means of the published training images are 0.491, 0.482 and 0.447.
    means = split.train_images.mean(dim=(0, 2, 3)).tolist()
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)

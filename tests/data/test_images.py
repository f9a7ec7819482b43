"""Images by name: the split, the folders they come from, and what is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_images import cifar_batch, register, write_cifar, write_mnist
from small_sets import Marker

from grandpp.data import (
    DatasetIntegrityError,
    DatasetNotFoundError,
    load_images,
)

DATA = os.environ.get("GRANDPP_DATA", "")


def mnist_folder(root: Path) -> Path:
    return root / "MNIST" / "raw"


def cifar_folder(root: Path) -> Path:
    return root / "CIFAR10" / "raw"


@pytest.fixture(autouse=True)
def digits_of_the_tests(request, monkeypatch):
    """Files that the tests write have 10 digits in each part."""
    if request.node.get_closest_marker("realdata") is None:
        monkeypatch.setattr("grandpp.data.mnist.SIZES", {"train": 10, "t10k": 10})


def test_digits_are_all_there_once_and_scaled_to_one():
    split = load_images("digits")
    assert split.image_shape == (1, 8, 8)
    assert (len(split.train_labels), len(split.test_labels)) == (1438, 359)
    assert split.train_images.dtype == torch.float32 and split.train_labels.dtype == torch.int64
    everything = torch.cat([split.train_images, split.test_images]).flatten(1)
    assert float(everything.min()) == 0 and float(everything.max()) == 1
    # No two of the 1,797 digits are the same picture.
    assert len(everything.unique(dim=0)) == 1797
    assert "1,438 to 359 by seed 0" in split.note


def test_the_seed_decides_the_division_and_keeps_labels_with_their_images():
    one, same, other = load_images("digits"), load_images("digits"), load_images("digits", seed=1)
    assert torch.equal(one.train_images, same.train_images)
    assert not torch.equal(one.test_labels, other.test_labels)

    def by_picture(split):
        images = torch.cat([split.train_images, split.test_images]).flatten(1)
        labels = torch.cat([split.train_labels, split.test_labels])
        return {row.numpy().tobytes(): int(y) for row, y in zip(images, labels, strict=True)}

    assert by_picture(one) == by_picture(other)


@pytest.mark.parametrize("packed", [True, False])
def test_four_files_of_mnist_are_its_published_parts(tmp_path, monkeypatch, packed):
    written = write_mnist(mnist_folder(tmp_path), packed=packed)
    register(monkeypatch, "mnist", mnist_folder(tmp_path))
    split = load_images("MNIST".lower(), tmp_path)
    for part, images, labels in (
        ("train", split.train_images, split.train_labels),
        ("t10k", split.test_images, split.test_labels),
    ):
        expected, classes = written[part]
        torch.testing.assert_close(images, torch.from_numpy(expected[:, None] / 255).float())
        assert labels.tolist() == classes.tolist()
    assert split.note == "training and test images as published"


def test_the_test_digits_alone_are_divided_four_to_one_and_the_note_says_so(tmp_path, monkeypatch):
    write_mnist(mnist_folder(tmp_path), parts=("t10k",), count=20)
    register(monkeypatch, "mnist", mnist_folder(tmp_path))
    split = load_images("mnist", tmp_path)
    assert (len(split.train_labels), len(split.test_labels)) == (16, 4)
    assert split.note == "20 MNIST test digits, divided 16 to 4 by seed 0"
    counts = torch.cat([split.train_labels, split.test_labels]).bincount()
    assert counts.tolist() == [2] * 10


def test_a_folder_with_all_digits_goes_before_one_with_the_test_digits(tmp_path, monkeypatch):
    write_mnist(mnist_folder(tmp_path / "some"), parts=("t10k",))
    write_mnist(mnist_folder(tmp_path / "all"), packed=False)
    register(monkeypatch, "mnist", mnist_folder(tmp_path / "some"))
    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path / "all"))
    split = load_images("mnist", tmp_path / "some", download=False)
    assert split.note == "training and test images as published"


def test_cifar_keeps_the_order_of_batches_and_the_planes_of_colours(tmp_path, monkeypatch):
    batches = write_cifar(cifar_folder(tmp_path))
    register(monkeypatch, "cifar10", cifar_folder(tmp_path))
    split = load_images("cifar10", tmp_path)
    assert split.train_images.shape == (15, 3, 32, 32) and split.test_images.shape == (3, 3, 32, 32)
    row = batches["data_batch_2"][b"data"][1]
    green = torch.from_numpy(row[1024:2048].reshape(32, 32) / 255).float()
    torch.testing.assert_close(split.train_images[4, 1], green)
    assert split.test_labels.tolist() == batches["test_batch"][b"labels"]


def test_downloads_are_kept_in_the_cache_and_checked(tmp_path, monkeypatch, serve, cache):
    served = tmp_path / "served"
    write_mnist(served)
    register(monkeypatch, "mnist", served, serve(served))
    first = load_images("mnist", progress=False)
    (served / "t10k-images-idx3-ubyte.gz").unlink()
    again = load_images("mnist", progress=False)
    assert torch.equal(first.test_images, again.test_images)
    assert len(list((cache / "MNIST" / "raw").iterdir())) == 4


def test_an_archive_altered_on_the_way_is_refused_and_never_unpickled(
    tmp_path, monkeypatch, serve, cache
):
    served = tmp_path / "served"
    write_cifar(served)
    register(monkeypatch, "cifar10", served, serve(served))
    write_cifar(served, test_batch=Marker(tmp_path / "marker"))
    with pytest.raises(DatasetIntegrityError, match=r"expected SHA-256 .*tar\.gz\.rejected"):
        load_images("cifar10", progress=False)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_file_cut_off_is_refused_by_its_digest(tmp_path, monkeypatch, name):
    raw = (mnist_folder if name == "mnist" else cifar_folder)(tmp_path)
    (write_mnist if name == "mnist" else write_cifar)(raw)
    register(monkeypatch, name, raw)
    file = sorted(raw.iterdir())[0]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DatasetIntegrityError, match="expected SHA-256"):
        load_images(name, tmp_path)


@pytest.mark.parametrize(
    "replaced",
    [
        {"data_batch_3": None},
        {"test_batch": [1, 2]},
        {"test_batch": cifar_batch(0) | {b"data": np.zeros((3, 7), dtype=np.uint8)}},
        {"test_batch": cifar_batch(0) | {b"labels": [0, 1, 10]}},
    ],
)
def test_an_archive_of_other_content_is_refused(tmp_path, monkeypatch, replaced):
    write_cifar(cifar_folder(tmp_path), **replaced)
    register(monkeypatch, "cifar10", cifar_folder(tmp_path))
    with pytest.raises(DatasetIntegrityError, match="files of cifar10 cannot be read: expected"):
        load_images("cifar10", tmp_path)


def test_an_unknown_name_and_missing_files_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="one of mnist, cifar10, digits"):
        load_images("imagenet")
    with pytest.raises(DatasetNotFoundError, match="downloading is switched off"):
        load_images("cifar10", tmp_path, download=False)


def test_without_scikit_learn_digits_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'grandpp\[image\]'"):
        load_images("digits")


def test_a_subset_takes_the_first_images_and_says_so():
    split = load_images("digits")
    small = split.subset(100, 7)
    assert torch.equal(small.train_images, split.train_images[:100])
    assert torch.equal(small.test_labels, split.test_labels[:7])
    assert small.note.endswith("; first 100 and 7 images")
    assert split.subset() is split
    with pytest.raises(ValueError, match="expected 'train' between 1 and 1438"):
        split.subset(1439)


@pytest.mark.realdata
@pytest.mark.skipif(
    not (Path(DATA) / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").is_file(),
    reason="GRANDPP_DATA has no MNIST",
)
def test_the_real_test_digits_have_their_published_class_counts():
    split = load_images("mnist", DATA, download=False)
    labels = split.test_labels
    if len(split.train_labels) == 8000:  # the training digits are not there
        labels = torch.cat([split.train_labels, labels])
    assert split.image_shape == (1, 28, 28)
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

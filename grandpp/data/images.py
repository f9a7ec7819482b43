"""Image data sets by name: MNIST, CIFAR-10 and the 8x8 digits of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grandpp.data.cifar import read_cifar10
from grandpp.data.cifar_binary import BINARY_FOLDER, read_cifar10_binary
from grandpp.data.digests import IMAGE_SETS
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.files import missing_files, search_folders
from grandpp.data.locate import locate
from grandpp.data.mnist import read_mnist

IMAGE_DATASETS = ("mnist", "cifar10", "digits")
TEST_SHARE = 0.2
"""Share of images held out for testing from data without a test set."""


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Training and test images with labels.

    Args:
        name: One of :data:`IMAGE_DATASETS`.
        train_images: ``[N, C, H, W]`` in float32, from 0 to 1.
        train_labels: ``[N]`` in int64, from 0 to 9.
        test_images: ``[M, C, H, W]``.
        test_labels: ``[M]``.
        note: Description of how the two parts were made.
        partial: Whether published images are missing from the folders. (default: ``False``)
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    note: str
    partial: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def subset(self, train: int | None = None, test: int | None = None) -> ImageSplit:
        """Keep the first images of either part; the note records it.

        Args:
            train: Number of training images. (default: ``None``, all)
            test: Number of test images. (default: ``None``, all)

        Raises:
            ValueError: If a number is below 1 or more than there are.
        """
        for name, wanted, labels in (
            ("train", train, self.train_labels),
            ("test", test, self.test_labels),
        ):
            if wanted is not None and not 1 <= wanted <= len(labels):
                raise ValueError(f"expected '{name}' between 1 and {len(labels)} (got {wanted})")
        if train is None and test is None:
            return self
        small = replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )
        sizes = f"first {len(small.train_labels)} and {len(small.test_labels)} images"
        return replace(small, note=f"{self.note}; {sizes}")


def load_images(
    name: str,
    root: str | Path | None = None,
    *,
    seed: int = 0,
    download: bool = True,
    progress: bool = True,
    check_size: bool = True,
) -> ImageSplit:
    """Load an image data set with a training and a test part.

    Sources: MNIST (LeCun et al., 1998), idx files, packed or not, in ``<folder>/MNIST/raw``;
    CIFAR-10 (Krizhevsky, 2009), ``<folder>/CIFAR10/raw/cifar-10-python.tar.gz``, or the binary
    version, ``<folder>/CIFAR10/raw/cifar-10-batches-bin/*.bin``; ``digits`` (UCI, 8x8 pixels),
    which is part of scikit-learn. Folders and cache are those of
    :func:`grandpp.data.load_dataset`. Packed files must have the published SHA-256, the archive
    of CIFAR-10 before anything in it is unpickled.

    A part of the binary version is taken for what it is: the note says how many images of how many
    there are. If the folders have only the 10,000 test digits of MNIST, 8,000 of them are the
    training part and 2,000 the test part; ``digits`` are divided into 1,438 and 359. Both are
    shuffled by ``seed`` first, because the files are ordered by writer.

    Args:
        name: One of :data:`IMAGE_DATASETS`.
        root: Folder of data sets to look in first. (default: ``None``)
        seed: Seed of the division, for data that are divided. (default: ``0``)
        download: Whether to download a set that is in no folder. (default: ``True``)
        progress: Whether a download shows a progress bar. (default: ``True``)
        check_size: Refuse uncompressed files of MNIST, which have no published digest, with
            another number of digits than published. (default: ``True``)

    Raises:
        ValueError: If the name is unknown.
        ImportError: If ``digits`` are asked for without scikit-learn.
        DatasetNotFoundError: If the files are nowhere and cannot be downloaded.
        DatasetIntegrityError: If a file is not the published one or cannot be read.

    Note:
        CIFAR-10 takes 0.7 GB as float32, and 1.1 GB while it is read.
    """
    if name not in IMAGE_DATASETS:
        raise ValueError(f"expected 'name' to be one of {', '.join(IMAGE_DATASETS)} (got '{name}')")
    if name == "digits":
        return _divided(name, *_digits(), seed, "digits of scikit-learn")
    parts: Sequence[tuple[NDArray[np.uint8], NDArray[np.int64]]]
    missing = ""
    try:
        if name == "mnist":
            parts = read_mnist(root, download=download, progress=progress, check_size=check_size)
        elif (folder := _binary_cifar(root)) is not None:
            parts, missing = read_cifar10_binary(folder)
        else:
            content = locate(name, IMAGE_SETS[name], root, download=download, progress=progress)
            parts = read_cifar10(*content.values())
    except ValueError as error:
        raise DatasetIntegrityError(f"the files of {name} cannot be read: {error}") from error
    pairs = [(_pixels(images), torch.from_numpy(labels)) for images, labels in parts]
    if len(pairs) == 1:
        return replace(_divided(name, *pairs[0], seed, "MNIST test digits"), partial=True)
    note = missing or "training and test images as published"
    return ImageSplit(name, *pairs[0], *pairs[1], note, partial=bool(missing))


def _binary_cifar(root: str | Path | None) -> Path | None:
    """The folder of the binary version, if no folder before it has the archive."""
    archive = IMAGE_SETS["cifar10"]
    for folder in search_folders(root):
        raw = folder / archive.folder
        if not missing_files(raw, archive.files):
            return None
        if (raw / BINARY_FOLDER).is_dir():
            return raw / BINARY_FOLDER
    return None


def _digits() -> tuple[Tensor, Tensor]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "expected scikit-learn for the images 'digits' (pip install 'grandpp[image]')"
        ) from error
    digits = load_digits()
    return (
        torch.from_numpy(digits.images / 16.0).float().unsqueeze(1),
        torch.from_numpy(digits.target).long(),
    )


def _divided(name: str, images: Tensor, labels: Tensor, seed: int, source: str) -> ImageSplit:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    cut = len(labels) - round(TEST_SHARE * len(labels))
    if not 0 < cut < len(labels):
        raise ValueError(f"expected at least 3 images to divide (got {len(labels)})")
    train, test = order[:cut], order[cut:]
    return ImageSplit(
        name,
        images[train],
        labels[train],
        images[test],
        labels[test],
        f"{len(labels):,} {source}, divided {cut:,} to {len(labels) - cut:,} by seed {seed}",
    )


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.astype(np.float32)).div_(255.0)

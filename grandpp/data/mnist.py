"""Read the IDX files of MNIST, compressed or plain."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grandpp.data.digests import IMAGE_SETS, MNIST_FILES, RawFile
from grandpp.data.files import missing_files, read_verified, search_folders
from grandpp.data.locate import locate
from grandpp.data.number_files import check_count

SIZES = {"train": 60_000, "t10k": 10_000}
"""Number of digits in the published parts."""

_UNSIGNED_BYTE = 8


class Digits(NamedTuple):
    """Images ``[N, 1, H, W]`` as bytes, and labels ``[N]``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_mnist(
    root: str | Path | None, *, download: bool, progress: bool, check_size: bool = True
) -> list[Digits]:
    """Read training and test digits, or only the test digits if the folders have no others.

    Args:
        root: The caller's folder of data sets; None for none.
        download: Whether to download if no folder has either.
        progress: Whether a download shows a progress bar.
        check_size: Whether uncompressed files, which have no digest, must hold the published
            number of digits. (default: ``True``)

    Raises:
        ValueError: If a file is of another format, cut off or too long.
        DatasetNotFoundError: If the files are nowhere and cannot be downloaded.
        DatasetIntegrityError: If a packed file is not the published one, or a plain one has
            another number of digits.
    """
    raw = IMAGE_SETS["mnist"]
    for names in (MNIST_FILES, MNIST_FILES[2:]):
        for folder in search_folders(root):
            files = _present(folder / raw.folder, names)
            if files:
                place = folder / raw.folder
                pairs = _pairs(read_verified(place, files).items())
                if check_size:
                    _check_sizes(place, files, pairs)
                return pairs
    return _pairs(locate("mnist", raw, root, download=download, progress=progress).items())


def _present(folder: Path, names: tuple[str, ...]) -> tuple[RawFile, ...]:
    """The compressed or plain files of these names; none if one is missing."""
    packed = {file.name: file for file in IMAGE_SETS["mnist"].files}
    found = []
    for name in names:
        # No digest of plain files is published; their format cannot contain code.
        choices = (packed[f"{name}.gz"], RawFile(name))
        found += [file for file in choices if not missing_files(folder, (file,))][:1]
    return tuple(found) if len(found) == len(names) else ()


def _check_sizes(place: Path, files: tuple[RawFile, ...], pairs: list[Digits]) -> None:
    for file, digits in zip(files[::2], pairs, strict=True):
        if not file.digest:
            published = SIZES[file.name.split("-")[0]]
            check_count(place / file.name, "images", published, len(digits.labels))


def _pairs(content: Iterable[tuple[str, bytes]]) -> list[Digits]:
    arrays = [read_idx(name, raw, 3 if "images" in name else 1) for name, raw in content]
    pairs = []
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        if len(images) != len(labels) or len(labels) == 0 or labels.max() > 9:
            raise ValueError(
                f"expected one label from 0 to 9 for each of {len(images)} images "
                f"(got {len(labels)} labels)"
            )
        pairs.append(Digits(images[:, None], labels.astype(np.int64)))
    return pairs


def read_idx(name: str, content: bytes, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes.

    Source: the format as the MNIST page describes it: two zero bytes, one byte for the type, one
    for the number of dimensions, their sizes as big-endian 32-bit integers, and the values.

    Args:
        name: File name; if it ends in ``.gz`` the content is unpacked first.
        content: Bytes of the file.
        dimensions: Expected number of dimensions: 3 for images, 1 for labels.

    Returns:
        Array ``[N, H, W]`` or ``[N]``.

    Raises:
        ValueError: If the content is of another format, cut off or too long.
    """
    if name.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"expected a whole gzip file in {name} (got {error})") from error
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    start = 4 * (1 + dimensions)
    if content[:4] != magic or len(content) < start:
        raise ValueError(
            f"expected {name} to begin with {magic!r} and {dimensions} sizes (got {content[:4]!r})"
        )
    shape = [int(n) for n in np.frombuffer(content[4:start], dtype=">u4")]
    length = start + math.prod(shape)
    if len(content) != length:
        raise ValueError(f"expected {length} bytes for {shape} in {name} (got {len(content)})")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)

"""Read the binary version of CIFAR-10: plain records of one label and the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grandpp.data.cifar import SHAPE, Batches
from grandpp.data.digests import RawFile
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.files import read_verified

BINARY_FOLDER = "cifar-10-batches-bin"
BINARY_TRAIN = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
BINARY_TEST = ("test_batch.bin",)
BATCH = 10_000
"""Images in each of the six published files."""

_RECORD = 1 + int(np.prod(SHAPE))


def read_cifar10_binary(folder: Path) -> tuple[list[Batches], str]:
    """Read the training and the test images of a folder, all of them or a part.

    Source: the page of CIFAR-10 (Krizhevsky, 2009): a record is one byte for the label and 3,072
    for the pixels, 1,024 each of red, green and blue, row by row; 10,000 records in each of
    ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``. No digests of these files
    are published; they cannot contain code.

    Args:
        folder: The folder ``cifar-10-batches-bin``, with ``test_batch.bin`` and at least one other
            file; a file may hold fewer records.

    Returns:
        The two parts, and how many images of how many there are; empty words for all of them.

    Raises:
        ValueError: If a file is cut off inside a record, empty or too long, or a label is above 9.
        DatasetIntegrityError: If the files of a part are missing, or a file cannot be read.
    """
    parts = [_read_part(folder, names) for names in (BINARY_TRAIN, BINARY_TEST)]
    found = [len(part.labels) for part in parts]
    published = [BATCH * len(names) for names in (BINARY_TRAIN, BINARY_TEST)]
    if found == published:
        return parts, ""
    train, test = (f"{a:,} of {b:,}" for a, b in zip(found, published, strict=True))
    return parts, f"{train} training and {test} test images of the binary version"


def _read_part(folder: Path, names: Sequence[str]) -> Batches:
    there = tuple(RawFile(name) for name in names if (folder / name).is_file())
    if not there:
        wanted = names[0] if len(names) == 1 else f"one or more of {names[0]} to {names[-1]}"
        raise DatasetIntegrityError(f"expected {wanted} in {folder} (got none)")
    batches = [read_records(name, raw) for name, raw in read_verified(folder, there).items()]
    images, labels = zip(*batches, strict=True)
    return Batches(np.concatenate(images), np.concatenate(labels))


def read_records(name: str, content: bytes) -> Batches:
    """Read the records of one file.

    Args:
        name: Name of the file, for messages.
        content: Its bytes.

    Raises:
        ValueError: If they are no whole records, none or more than published, or a label is above
            9.
    """
    count, rest = divmod(len(content), _RECORD)
    if rest or count == 0:
        raise ValueError(
            f"expected records of {_RECORD} bytes in {name} (got {len(content):,} bytes, "
            f"{count:,} records and {rest} bytes: the file may be cut off)"
        )
    if count > BATCH:
        raise ValueError(f"expected at most {BATCH:,} records in {name} (got {count:,})")
    records = np.frombuffer(content, dtype=np.uint8).reshape(count, _RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise ValueError(
            f"expected labels from 0 to 9 in {name} (got {labels[first]} in record {first + 1})"
        )
    return Batches(records[:, 1:].reshape(-1, *SHAPE), labels.astype(np.int64))

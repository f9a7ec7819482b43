"""The Silverbox benchmark: an electronic circuit that resembles a Duffing oscillator."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grandpp.data.digests import RawFile
from grandpp.data.errors import DatasetIntegrityError, DatasetNotFoundError
from grandpp.data.files import missing_files, read_verified, search_folders

FOLDER = "Silverbox/raw"
FILE = RawFile("sb.csv")
SCALE = 100.0
"""Factor on the voltages, as in Norcliffe et al. (2020) and in the heavy-ball code."""


class Silverbox(NamedTuple):
    """Input voltage V1 and output voltage V2, ``[T]`` in float64, times :data:`SCALE`."""

    v1: Tensor
    v2: Tensor


def load_silverbox(root: str | Path | None = None) -> Silverbox:
    """Read ``<folder>/Silverbox/raw/sb.csv``: a header, then V1 and V2 in every line.

    Source: Wigren and Schoukens (2013); preprocessing of Norcliffe et al. (2020). The file is
    looked for in ``root``, ``$GRANDPP_DATA`` and the cache folder; it is not downloaded.

    Args:
        root: Folder of data sets to look in first. (default: ``None``)

    Raises:
        DatasetNotFoundError: If the file is in none of the folders.
        DatasetIntegrityError: If it is not two columns of finite numbers.
    """
    folders = search_folders(root)
    for folder in folders:
        if not missing_files(folder / FOLDER, (FILE,)):
            content = read_verified(folder / FOLDER, (FILE,))[FILE.name]
            return _parse(content, folder / FOLDER / FILE.name)
    looked = ", ".join(str(folder) for folder in folders)
    raise DatasetNotFoundError(
        f"data set Silverbox was not found: looked in {looked}; put sb.csv of "
        f"nonlinearbenchmark.org into <folder>/{FOLDER} and pass that folder as root or in "
        "$GRANDPP_DATA"
    )


def _parse(content: bytes, path: Path) -> Silverbox:
    if content.count(b"\n") < 2:
        raise DatasetIntegrityError(f"refused {path}: expected a header and lines of numbers")
    try:
        # Lines end in a comma, so that there is an empty third column.
        rows = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1, usecols=(0, 1), ndmin=2)
    except (ValueError, IndexError) as error:
        raise DatasetIntegrityError(
            f"refused {path}: expected a header and two columns of numbers (got {error})"
        ) from error
    if len(rows) < 2 or not np.isfinite(rows).all():
        raise DatasetIntegrityError(
            f"refused {path}: expected at least 2 rows of finite numbers (got {len(rows)} rows)"
        )
    v1, v2 = torch.from_numpy(SCALE * rows).unbind(1)
    return Silverbox(v1.contiguous(), v2.contiguous())

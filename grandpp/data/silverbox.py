"""The Silverbox benchmark: an electronic circuit that resembles a Duffing oscillator."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from grandpp.data.digests import RawFile
from grandpp.data.files import read_verified
from grandpp.data.number_files import check_count, find_folder, number_table

FILE, ROWS = RawFile("sb.csv"), 131_072
SCALE = 100.0
"""Factor of the voltages, as in Norcliffe et al. (2020) and in the heavy-ball code."""


class Silverbox(NamedTuple):
    """Input voltage V1 and output voltage V2, ``[T]`` in float64, times :data:`SCALE`."""

    v1: Tensor
    v2: Tensor


def load_silverbox(root: str | Path | None = None, *, check_size: bool = True) -> Silverbox:
    """Read ``<folder>/Silverbox/raw/sb.csv``: a header, then V1 and V2 in every line.

    Source: Wigren and Schoukens (2013); preprocessing of Norcliffe et al. (2020). The file is
    looked for in ``root``, ``$GRANDPP_DATA`` and the cache folder; it is not downloaded.

    Args:
        root: Folder of data sets to look in first. (default: ``None``)
        check_size: Refuse a file of another length than the published one; ``False`` accepts other
            data. (default: ``True``)

    Raises:
        DatasetNotFoundError: If the file is in none of the folders.
        DatasetIntegrityError: If it is not two columns of 131,072 finite numbers.
    """
    raw = find_folder(
        root,
        "Silverbox",
        lambda raw: (raw / FILE.name).is_file(),
        "sb.csv of nonlinearbenchmark.org",
    )
    # Lines end in a comma, so that there is an empty third column.
    rows = number_table(read_verified(raw, (FILE,))[FILE.name], raw / FILE.name, columns=2)
    if check_size:
        check_count(raw / FILE.name, "rows", ROWS, len(rows))
    v1, v2 = torch.from_numpy(SCALE * rows).unbind(1)
    return Silverbox(v1.contiguous(), v2.contiguous())

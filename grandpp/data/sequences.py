"""Time series with missing rows: F-16 ground vibration and Walker2D."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from grandpp.data.digests import RawFile
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.files import read_verified
from grandpp.data.number_files import check_count, find_folder, number_table, read_array
from grandpp.data.oscillators import DampedOscillators
from grandpp.data.windows import (
    SequenceData,
    Windows,
    concat,
    drop_rows,
    make_windows,
    standardize,
)

SEQUENCES: tuple[str, ...] = ("plane-vibration", "walker2d", "oscillator")
"""Data sets that :func:`load_sequences` knows."""

PLANE_FILE, PLANE_ROWS = RawFile("pv.csv"), 73_728
PLANE_CHANNELS = ("force", "voltage", "acceleration 1", "acceleration 2", "acceleration 3")
WALKER_FILES = "rollout_*.npy"
WALKER_ROLLOUTS, WALKER_ROWS = 400, 254_963
WALKER_CHANNELS = tuple(f"observation {i}" for i in range(17))


class PlaneVibration(SequenceData):
    """Ground vibration test of an F-16: force, voltage and three accelerations at 400 Hz.

    Source: Noël and Schoukens (2017); protocol of the HBNODE paper, §5.3. A tenth of the rows is
    removed at random; of the others, the first half is for training, the next quarter for
    validation and the last for testing. Each part is divided into windows that start every 65
    remaining rows: 64 rows are observed, and the 65th and the 7 after it are to be forecast, at
    their true times. The next window of the same part observes those 7 rows; no row belongs to two
    parts. Values are standardised by the training rows.

    Args:
        root: Folder of data sets with ``PlaneVibration/raw/pv.csv``, looked in before
            ``$GRANDPP_DATA`` and the cache. (default: ``None``)
        seed: Seed of the removed rows. (default: ``0``)
        drop: Share of rows to remove. (default: ``0.1``)
        length: Observations in a window. (default: ``64``)
        horizon: Rows to forecast. (default: ``8``)
        unit: Rows of the file in one unit of time; a row takes 2.5 ms. (default: ``1``, as in the
            paper's Fig. 8)
        check_size: Refuse data of another length than published, which may be truncated; ``False``
            accepts other data. (default: ``True``)

    Raises:
        DatasetNotFoundError: If the file is in no folder.
        DatasetIntegrityError: If it is not five columns of 73,728 finite numbers.
        ValueError: For numbers out of range or too few rows.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        seed: int = 0,
        *,
        drop: float = 0.1,
        length: int = 64,
        horizon: int = 8,
        unit: float = 1.0,
        check_size: bool = True,
    ) -> None:
        if unit <= 0:
            raise ValueError(f"expected 'unit' to be positive (got {unit})")
        raw = find_folder(
            root,
            "PlaneVibration",
            lambda raw: (raw / PLANE_FILE.name).is_file(),
            "the F-16 ground vibration data of nonlinearbenchmark.org as pv.csv",
        )
        content = read_verified(raw, (PLANE_FILE,))[PLANE_FILE.name]
        rows = torch.from_numpy(number_table(content, raw / PLANE_FILE.name, len(PLANE_CHANNELS)))
        if check_size:
            check_count(raw / PLANE_FILE.name, "rows", PLANE_ROWS, len(rows))
        kept = drop_rows(len(rows), drop, torch.Generator().manual_seed(seed))
        rows = rows[kept]
        half, quarter = len(rows) // 2, len(rows) // 4
        scaling = standardize(rows[:half])
        rows = (rows - scaling.mean) / scaling.deviation
        sizes = (half, quarter, len(rows) - half - quarter)
        train, validation, test = [
            make_windows(values, times.double() / unit, length, horizon, stride=length + 1)
            for values, times in zip(rows.split(sizes), kept.split(sizes), strict=True)
        ]
        super().__init__(PLANE_CHANNELS, train, validation, test, scaling)


class Walker2D(SequenceData):
    """Rollouts of a trained policy in the MuJoCo task Walker2d: 17 joint positions and velocities.

    Source: Lechner and Hasani (2020); protocol: HBNODE paper, §5.4. Of the rollouts, in random
    order, the first 15 % are for testing and the next 10 % for validation. A tenth of the rows of
    each is removed at random; windows of 64 observed rows start every 16 remaining rows, and the
    row after each observation is to be forecast (:attr:`Windows.next_rows`), so that the horizon is
    one row. One unit of time is 64 rows of the simulation. Values are not scaled, as in the paper,
    where velocities weigh more than angles.

    Args:
        root: Folder of data sets with ``Walker2D/raw/rollout_*.npy``, looked in before
            ``$GRANDPP_DATA`` and the cache. (default: ``None``)
        seed: Seed of the order of the rollouts and of the removed rows. (default: ``0``)
        drop: Share of rows to remove. (default: ``0.1``)
        length: Observations in a window. (default: ``64``)
        stride: Rows from one window to the next. (default: ``16``)
        scaled: Standardise the values by the training rows. (default: ``False``)
        check_size: Refuse data of another length than published, which may be truncated; ``False``
            accepts other data. (default: ``True``)

    Raises:
        DatasetNotFoundError: If the files are in no folder.
        DatasetIntegrityError: If one is not a table of 17 columns of finite numbers, or they are
            not 400 with 254,963 rows in all (at least 10 without ``check_size``).
        ValueError: For numbers out of range or too short rollouts.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        seed: int = 0,
        *,
        drop: float = 0.1,
        length: int = 64,
        stride: int = 16,
        scaled: bool = False,
        check_size: bool = True,
    ) -> None:
        raw = find_folder(
            root,
            "Walker2D",
            lambda raw: any(raw.glob(WALKER_FILES)),
            f"the rollouts of Lechner and Hasani (2020) as {WALKER_FILES}",
        )
        files = sorted(raw.glob(WALKER_FILES))
        if check_size:
            check_count(raw, f"files {WALKER_FILES}", WALKER_ROLLOUTS, len(files))
        if len(files) < 10:
            raise DatasetIntegrityError(
                f"refused {raw}: expected at least 10 files {WALKER_FILES} (got {len(files)})"
            )
        rollouts = [torch.from_numpy(read_array(file, len(WALKER_CHANNELS))) for file in files]
        if check_size:
            check_count(raw, "rows of all files", WALKER_ROWS, sum(map(len, rollouts)))
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(files), generator=generator).tolist()
        # In the order of the files, so that the removed rows do not depend on the split.
        kept = [drop_rows(len(rollout), drop, generator) for rollout in rollouts]
        tests, validations = 15 * len(files) // 100, 10 * len(files) // 100
        parts = (order[tests + validations :], order[tests : tests + validations], order[:tests])
        scaling = None
        if scaled:
            scaling = standardize(torch.cat([rollouts[i][kept[i]] for i in parts[0]]))
            rollouts = [(rollout - scaling.mean) / scaling.deviation for rollout in rollouts]
        train, validation, test = [
            _rollout_windows([(rollouts[i], kept[i]) for i in p], length, stride) for p in parts
        ]
        super().__init__(WALKER_CHANNELS, train, validation, test, scaling)


def _rollout_windows(
    rollouts: Sequence[tuple[Tensor, Tensor]], length: int, stride: int
) -> Windows:
    return concat(
        [
            make_windows(rows[kept], kept.double() / length, length, horizon=1, stride=stride)
            for rows, kept in rollouts
        ]
    )


def load_sequences(
    name: str, root: str | Path | None = None, seed: int = 0, *, check_size: bool = True
) -> SequenceData:
    """Load a sequence data set by name, with the settings of its paper.

    Args:
        name: One of :data:`SEQUENCES`.
        root: Folder of raw files; ``"oscillator"`` needs none. (default: ``None``)
        seed: Seed of all random numbers. (default: ``0``)
        check_size: Refuse files of another length than published. (default: ``True``)

    Raises:
        ValueError: For an unknown name.
        DatasetError: If the files are missing or damaged.
    """
    if name == "plane-vibration":
        return PlaneVibration(root, seed, check_size=check_size)
    if name == "walker2d":
        return Walker2D(root, seed, check_size=check_size)
    if name == "oscillator":
        return DampedOscillators(seed)
    raise ValueError(f"expected 'name' to be one of {', '.join(SEQUENCES)} (got '{name}')")

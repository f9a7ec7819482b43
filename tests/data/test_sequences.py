"""Plane vibration and Walker2D from files in their published layouts."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from grandpp.data import DatasetIntegrityError, DatasetNotFoundError, sequences
from grandpp.data.sequences import load_sequences

HEADER = '"Force","Voltage","Acceleration1","Acceleration2","Acceleration3","Fs",\n'
DATA = Path(os.environ.get("GRANDPP_DATA", "nowhere"))
# Files that tests write have lengths of their own.
PlaneVibration = partial(sequences.PlaneVibration, check_size=False)
Walker2D = partial(sequences.Walker2D, check_size=False)


def write_plane(root, rows):
    folder = root / "PlaneVibration" / "raw"
    folder.mkdir(parents=True)
    lines = [",".join(map(str, row)) + (",400,\n" if i == 0 else ",,\n") for i, row in rows]
    (folder / "pv.csv").write_text(HEADER + "".join(lines) + "\n")
    return root


@pytest.fixture
def plane(tmp_path):
    """Force counts the rows and the others follow from it, so that every number has its place."""
    return write_plane(tmp_path, [(i, (i, -i, 2 * i, i * i, 1)) for i in range(200)])


def write_walks(root, lengths, columns=17):
    folder = root / "Walker2D" / "raw"
    folder.mkdir(parents=True)
    for i, n in enumerate(lengths):
        rows = np.arange(n, dtype=float)[:, None] + 1000 * i + np.arange(columns) / 100
        np.save(folder / f"rollout_{i:03d}.npy", rows)
    return root


class TestPlaneVibration:
    def test_rows_go_in_time_order_to_their_split_and_to_no_other(self, plane):
        data = PlaneVibration(plane, seed=4, length=6, horizon=3)
        rows = {}
        for split in ("train", "validation", "test"):
            windows = getattr(data, split)
            whole = torch.cat([windows.x, windows.targets], 1)
            rows[split] = whole * data.scaling.deviation + data.scaling.mean
        force = {split: r[..., 0].round().long() for split, r in rows.items()}
        # 180 rows are kept: 90, 45 and 45 of them; 9 rows of 7 to the next fit 12, 6 and 6 times.
        assert [len(f) for f in force.values()] == [12, 6, 6]
        assert int(force["train"].max()) < int(force["validation"].min())
        assert int(force["validation"].max()) < int(force["test"].min())
        for split, r in rows.items():
            n = force[split].double()
            expected = torch.stack([n, -n, 2 * n, n * n, torch.ones_like(n)], -1)
            torch.testing.assert_close(r, expected, atol=1e-9, rtol=1e-9)

    @pytest.mark.parametrize("unit", [1.0, 64.0])
    def test_times_are_the_row_numbers_of_the_file(self, plane, unit):
        data = PlaneVibration(plane, length=6, horizon=3, unit=unit)
        test = data.test
        rows = torch.cat([test.x, test.targets], 1)[..., 0] * data.scaling.deviation[0]
        times = torch.cat([test.times, test.horizon], 1)
        torch.testing.assert_close(rows - rows[:, :1], unit * times)
        assert float(times.diff().max()) > 1.5 / unit  # rows are missing

    def test_windows_observe_different_rows(self, plane):
        data = PlaneVibration(plane, length=6, horizon=3)
        first = data.train.x[..., 0].flatten()
        assert (first.diff() > 0).all()

    def test_training_rows_alone_decide_the_scaling(self, tmp_path, plane):
        late = write_plane(
            tmp_path / "late",
            [(i, (i, -i, 2 * i, i * i if i < 110 else 1e6, 1)) for i in range(200)],
        )
        one, other = (PlaneVibration(root, length=6, horizon=3) for root in (plane, late))
        assert torch.equal(one.scaling.deviation, other.scaling.deviation)
        assert torch.equal(one.train.x, other.train.x)
        assert not torch.equal(one.test.x, other.test.x)

    def test_the_seed_decides_which_rows_go(self, plane):
        first, again, other = (
            PlaneVibration(plane, seed, length=6, horizon=3).train.times for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_a_unit_of_time_is_positive(self, plane):
        with pytest.raises(ValueError, match="'unit' to be positive"):
            PlaneVibration(plane, unit=0)

    def test_too_few_rows_for_the_windows_of_the_paper(self, plane):
        with pytest.raises(ValueError, match="at least one window for validation"):
            PlaneVibration(plane)

    @pytest.mark.parametrize("body", ["1,2,3,4\n", "1,2,3,4,x\n", "1,2,3,4,nan\n", ""])
    def test_a_broken_file_is_refused(self, tmp_path, body):
        write_plane(tmp_path, [])
        (tmp_path / "PlaneVibration" / "raw" / "pv.csv").write_text(HEADER + body + body)
        with pytest.raises(DatasetIntegrityError, match=r"refused .*pv.csv: expected"):
            PlaneVibration(tmp_path)

    def test_a_missing_file_is_one_sentence_with_the_folders(self, tmp_path):
        found = rf"PlaneVibration was not found: looked in {tmp_path}.*<folder>/PlaneVibration/raw"
        with pytest.raises(DatasetNotFoundError, match=found):
            PlaneVibration(tmp_path)


class TestWalker2D:
    def test_rollouts_belong_to_one_split_each(self, tmp_path):
        data = Walker2D(write_walks(tmp_path, [30] * 20), length=4, stride=2)
        owners = [
            set((windows.x[:, 0, 0] // 1000).int().tolist())
            for windows in (data.train, data.validation, data.test)
        ]
        assert [len(o) for o in owners] == [15, 2, 3]
        assert len(set.union(*owners)) == 20

    def test_windows_stay_in_one_rollout_and_count_time_by_their_rows(self, tmp_path):
        data = Walker2D(write_walks(tmp_path, [30] * 20), length=4, stride=2)
        rows = torch.cat([data.train.x, data.train.targets], 1)[..., 0]
        times = torch.cat([data.train.times, data.train.horizon], 1)
        torch.testing.assert_close(rows - rows[:, :1], 4 * times)
        # 27 rows are kept; 5 of them every 2 rows fit 12 times.
        assert len(data.train) == 15 * 12
        assert data.train.targets.shape == (180, 1, 17)
        torch.testing.assert_close(data.train.next_rows[:, :-1], data.train.x[:, 1:])

    def test_values_keep_their_units_unless_asked(self, tmp_path):
        root = write_walks(tmp_path, [30] * 20)
        raw, scaled = (Walker2D(root, length=4, scaled=s) for s in (False, True))
        assert raw.scaling is None
        restored = scaled.test.x * scaled.scaling.deviation + scaled.scaling.mean
        torch.testing.assert_close(restored, raw.test.x)
        assert abs(float(scaled.train.x.mean())) < 0.2

    def test_the_seed_decides_the_split(self, tmp_path):
        root = write_walks(tmp_path, [30] * 20)
        first, again, other = (Walker2D(root, seed, length=4).test.x for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_a_short_rollout_gives_no_window(self, tmp_path):
        data = Walker2D(write_walks(tmp_path, [4] * 10 + [30] * 30), length=4, stride=2)
        assert len(data.train) + len(data.validation) + len(data.test) == 30 * 12

    def test_few_files_are_refused(self, tmp_path):
        write_walks(tmp_path, [30] * 9)
        with pytest.raises(DatasetIntegrityError, match=r"at least 10 files .*\(got 9\)"):
            Walker2D(tmp_path)

    def test_missing_files_are_one_sentence(self, tmp_path):
        with pytest.raises(DatasetNotFoundError, match=r"<folder>/Walker2D/raw"):
            Walker2D(tmp_path)

    @pytest.mark.parametrize(
        "content", ["text", "empty", "columns", "flat", "nan", "pickle", "words", "archive", "cut"]
    )
    def test_a_broken_file_is_refused(self, tmp_path, content):
        path = write_walks(tmp_path, [30] * 10) / "Walker2D" / "raw" / "rollout_003.npy"
        whole = path.read_bytes()
        bad = np.full((30, 17), np.nan)
        {
            "text": lambda: path.write_text("not numbers"),
            "empty": lambda: path.write_bytes(b""),
            "columns": lambda: np.save(path, np.zeros((30, 16))),
            "flat": lambda: np.save(path, np.zeros(17)),
            "nan": lambda: np.save(path, bad),
            "pickle": lambda: np.save(path, np.array([[{}] * 17], dtype=object)),
            "words": lambda: np.save(path, np.full((30, 17), "a")),
            "archive": lambda: np.savez(path.open("wb"), a=bad),
            "cut": lambda: path.write_bytes(whole[:200]),
        }[content]()
        with pytest.raises(DatasetIntegrityError, match=r"refused .*rollout_003.npy: expected"):
            Walker2D(tmp_path)


def test_sets_are_loaded_by_name(tmp_path):
    write_walks(tmp_path, [90] * 20)
    found = load_sequences("walker2d", tmp_path, 1, check_size=False)
    assert isinstance(found, sequences.Walker2D)
    assert repr(load_sequences("oscillator")).startswith("DampedOscillators(train=256")
    with pytest.raises(ValueError, match="one of plane-vibration, walker2d, oscillator"):
        load_sequences("walker3d")
    with pytest.raises(DatasetNotFoundError):
        load_sequences("plane-vibration", tmp_path)


def test_a_plane_file_cut_at_the_end_of_a_line_is_refused(plane, monkeypatch):
    path = plane / "PlaneVibration" / "raw" / "pv.csv"
    monkeypatch.setattr(sequences, "PLANE_ROWS", 200)
    assert len(sequences.PlaneVibration(plane, length=6, horizon=3).train) == 12
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:151]))
    words = (
        r"refused .*pv.csv: expected the 200 rows of the published data \(got 150\); .*check_size"
    )
    with pytest.raises(DatasetIntegrityError, match=words):
        sequences.PlaneVibration(plane, length=6, horizon=3)
    assert len(PlaneVibration(plane, length=6, horizon=3).train) > 0


def test_a_plane_file_cut_in_its_last_number_is_refused(plane):
    path = plane / "PlaneVibration" / "raw" / "pv.csv"
    whole = path.read_text().rstrip()
    path.write_text(whole[: whole.rindex(",1,,") + 2])
    with pytest.raises(DatasetIntegrityError, match=r"in the header, 6 \(got 4: .*cut off\)"):
        PlaneVibration(plane, length=6, horizon=3)


def test_rollouts_cut_short_or_missing_are_refused(tmp_path, monkeypatch):
    root = write_walks(tmp_path, [30] * 20)
    monkeypatch.setattr(sequences, "WALKER_ROLLOUTS", 20)
    monkeypatch.setattr(sequences, "WALKER_ROWS", 600)
    assert len(sequences.Walker2D(root, length=4).train) > 0
    path = root / "Walker2D" / "raw" / "rollout_007.npy"
    np.save(path, np.load(path)[:29])
    with pytest.raises(DatasetIntegrityError, match=r"the 600 rows of all files .*\(got 599\)"):
        sequences.Walker2D(root, length=4)
    path.unlink()
    with pytest.raises(DatasetIntegrityError, match=r"the 20 files rollout_\*.npy .*\(got 19\)"):
        load_sequences("walker2d", root)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "PlaneVibration").is_dir(), reason="no plane vibration data")
def test_the_real_plane_has_the_windows_of_the_paper():
    data = sequences.PlaneVibration(DATA)
    assert [len(w) for w in (data.train, data.validation, data.test)] == [510, 255, 255]
    assert data.train.x.shape == (510, 64, 5)
    assert data.train.targets.shape == (510, 8, 5)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "Walker2D").is_dir(), reason="no Walker2D data")
def test_the_real_rollouts_are_read():
    data = sequences.Walker2D(DATA)
    assert data.train.x.shape[1:] == (64, 17)
    assert 9000 < len(data.train) < 10_500
    assert len(data.validation) < len(data.test) < len(data.train)

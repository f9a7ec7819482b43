"""Cutting series into windows, by hand and by what must always hold."""

from __future__ import annotations

import pytest
import torch

from grandpp.data.windows import SequenceData, concat, drop_rows, make_windows, standardize


def ramp(n, channels=1):
    return torch.arange(n, dtype=torch.float64)[:, None].expand(n, channels)


class TestCut:
    def test_windows_of_a_tiny_series_by_hand(self):
        times = torch.tensor([0.0, 1, 3, 4, 6, 7, 8, 10])
        found = make_windows(ramp(8), times, length=3, horizon=2, stride=2)
        assert found.x[..., 0].tolist() == [[0, 1, 2], [2, 3, 4]]
        assert found.targets[..., 0].tolist() == [[3, 4], [5, 6]]
        assert found.times.tolist() == [[0, 1, 3], [0, 1, 3]]
        assert found.horizon.tolist() == [[4, 6], [4, 5]]
        assert found.next_rows[..., 0].tolist() == [[1, 2, 3], [3, 4, 5]]

    def test_every_channel_stays_with_its_row(self):
        values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        found = make_windows(values, torch.arange(20.0), length=4, horizon=1, stride=5)
        assert found.x.shape == (4, 4, 3)
        assert torch.equal(found.x[2], values[10:14])
        assert torch.equal(found.targets[3, 0], values[19])

    def test_a_series_too_short_gives_no_window(self):
        found = make_windows(ramp(4, 2), torch.arange(4.0), length=3, horizon=2, stride=1)
        assert len(found) == 0
        whole = concat([found, make_windows(ramp(5, 2), torch.arange(5.0), 3, 2, 1)])
        assert len(whole) == 1

    @pytest.mark.parametrize("times", [[0.0, 2, 1, 3], [0.0, 1, 1, 2]])
    def test_times_must_increase(self, times):
        with pytest.raises(ValueError, match=r"expected increasing times \(got .* at row 2\)"):
            make_windows(ramp(4), torch.tensor(times), 2, 1, 1)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_numbers_must_be_finite(self, bad):
        values = ramp(4).clone()
        values[2] = bad
        with pytest.raises(ValueError, match="finite values and times"):
            make_windows(values, torch.arange(4.0), 2, 1, 1)
        with pytest.raises(ValueError, match="finite values and times"):
            make_windows(ramp(4), values[:, 0], 2, 1, 1)

    @pytest.mark.parametrize("name", ["length", "horizon", "stride"])
    def test_sizes_must_be_positive(self, name):
        sizes = {"length": 2, "horizon": 1, "stride": 1, name: 0}
        with pytest.raises(ValueError, match=f"'{name}' of at least 1"):
            make_windows(ramp(4), torch.arange(4.0), **sizes)

    def test_one_time_for_every_row(self):
        with pytest.raises(ValueError, match=r"one time for each of 4 rows \(got 3\)"):
            make_windows(ramp(4), torch.arange(3.0), 2, 1, 1)


class TestThin:
    @pytest.mark.parametrize(
        ("count", "drop", "left"), [(1000, 0.1, 900), (73, 0.1, 66), (5, 0, 5)]
    )
    def test_exactly_the_share_goes(self, count, drop, left):
        kept = drop_rows(count, drop, torch.Generator().manual_seed(0))
        assert len(kept) == left
        assert (kept.diff() > 0).all()
        assert kept[0] >= 0
        assert kept[-1] < count

    def test_the_seed_decides(self):
        first, again, other = (
            drop_rows(200, 0.3, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    @pytest.mark.parametrize("drop", [-0.1, 1.0])
    def test_a_share_out_of_range_is_refused(self, drop):
        with pytest.raises(ValueError, match="'drop' in"):
            drop_rows(10, drop, torch.Generator())


def test_a_constant_channel_is_only_centred():
    scaling = standardize(torch.tensor([[1.0, 5], [3.0, 5]]))
    assert scaling.mean.tolist() == [2, 5]
    assert scaling.deviation.tolist() == [1, 1]


def test_a_sample_is_drawn_without_replacement_and_kept_in_order():
    windows = make_windows(ramp(40), torch.arange(40.0), 3, 1, 1)
    firsts = windows.sample(10, seed=3).x[:, 0, 0]
    assert len(firsts) == 10
    assert (firsts.diff() > 0).all()
    assert torch.equal(firsts, windows.sample(10, seed=3).x[:, 0, 0])
    assert not torch.equal(firsts, windows.sample(10, seed=4).x[:, 0, 0])
    assert windows.sample(None) is windows
    assert windows.sample(1000) is windows
    with pytest.raises(ValueError, match="'count' of at least 1"):
        windows.sample(0)


def test_another_type_changes_every_tensor():
    windows = make_windows(ramp(10), torch.arange(10.0), 3, 1, 1).to(torch.float32)
    parts = (windows.x, windows.times, windows.horizon, windows.targets)
    assert {part.dtype for part in parts} == {torch.float32}


def test_a_split_without_windows_is_refused():
    some, none = (make_windows(ramp(n), torch.arange(float(n)), 3, 1, 1) for n in (8, 2))
    with pytest.raises(ValueError, match="at least one window for validation"):
        SequenceData(("a",), some, none, some)

"""Random shifts and reflections."""

from __future__ import annotations

import pytest
import torch

from grandpp.studies.images.augmentation import random_flip, random_shift


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_pixel_lands_on_all_places_within_reach_equally_often():
    images = torch.zeros(5000, 2, 7, 9)
    images[:, 1, 3, 4] = 1.0
    moved = random_shift(images, 1, seeded())
    assert moved.shape == images.shape and not moved[:, 0].any()
    share = moved[:, 1].mean(0)
    assert float(share.sum()) == pytest.approx(1)
    torch.testing.assert_close(share[2:5, 3:6], torch.full((3, 3), 1 / 9), atol=0.02, rtol=0)


def test_what_leaves_is_gone_and_zeros_come_in():
    images = torch.ones(200, 1, 4, 4)
    moved = random_shift(images, 2, seeded())
    sums = set(moved.sum((1, 2, 3)).tolist())
    assert sums == {float((4 - a) * (4 - b)) for a in range(3) for b in range(3)}


def test_no_shift_is_no_copy_and_a_negative_one_is_refused():
    images = torch.rand(2, 1, 3, 3)
    assert random_shift(images, 0, seeded()) is images
    with pytest.raises(ValueError, match="'pixels' >= 0"):
        random_shift(images, -1, seeded())


def test_half_of_the_images_are_mirrored_whole():
    images = torch.arange(6.0).reshape(1, 1, 2, 3).expand(1000, 1, 2, 3)
    flipped = random_flip(images, seeded())
    same = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 400 < int(mirrored.sum()) < 600
    assert torch.equal(flipped, random_flip(images, seeded()))

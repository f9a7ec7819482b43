"""What decides a run of an image classifier, and how it is read again."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from image_records_of import config, record

from grandpp.studies.images.runs import (
    IMAGE_DEFAULTS,
    IMAGE_KEY,
    check_images,
    image_configs,
    read_image_records,
)
from grandpp.training.run_lines import key_of


def test_defaults_fill_in_and_seeds_are_done_one_after_the_other():
    runs = image_configs("mnist", None, range(2), tolerance=1e-3)
    assert [(r.seed, r.model) for r in runs] == [
        (seed, model) for seed in (0, 1) for model in IMAGE_DEFAULTS["mnist"].models
    ]
    assert {(r.tolerance, r.lr, r.epochs) for r in runs} == {(1e-3, 1e-3, 10)}
    assert [r.model for r in image_configs("digits", ["anode", "anode"], [5])] == ["anode"]


def test_only_cifar_is_mirrored_and_nothing_is_moved_unasked():
    moved = {name: config(dataset=name, augment=True).augmentation for name in IMAGE_DEFAULTS}
    assert moved["cifar10"] == {"shift": 4, "flip": True}
    assert not moved["mnist"]["flip"] and not moved["digits"]["flip"]
    assert config(dataset="cifar10").augmentation == {}


def test_a_checkpoint_knows_what_decides_an_epoch_and_nothing_else():
    one = config().training("all of them")
    assert one == config(epochs=9, tolerances=(1e-3,)).training("all of them")
    assert one != config(lr=0.5).training("all of them")
    assert one != config().training("half of them")
    assert all(isinstance(v, str | int | float | bool) for v in one.values())


def test_records_are_found_again_by_their_settings(tmp_path):
    path = tmp_path / "runs.jsonl"
    settings = {"tolerances": (1e-3, 1e-4)}
    rows = [record(seed=seed, **settings) for seed in (0, 1)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = read_image_records(path)
    assert found[key_of(asdict(config(seed=1, **settings)), IMAGE_KEY)]["seed"] == 1
    assert key_of(asdict(config(seed=1)), IMAGE_KEY) not in found
    assert rows[0]["seconds"] == 4.0
    assert read_image_records(None) == read_image_records(tmp_path / "none.jsonl") == {}


def test_runs_on_other_images_of_the_same_name_do_not_come_into_one_file():
    known = [record(), record(train=16)]
    check_images(known, config(), "made up")
    check_images(known, config(train=8), "others")
    check_images([], config(), "others")
    for settings in ({}, {"train": 16}):
        with pytest.raises(ValueError, match=r"in the file, made up \(got others\)"):
            check_images(known, config(**settings), "others")


@pytest.mark.parametrize("line", ["my notes", "{}", "[1]", '{"model": "node"}'])
def test_a_file_of_something_else_is_refused(tmp_path, line):
    path = tmp_path / "notes.txt"
    path.write_text(json.dumps(record()) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=r"one run per line in .*notes.txt \(line 2 is none\)"):
        read_image_records(path)
    with pytest.raises(ValueError, match="existing folder"):
        read_image_records(tmp_path / "none" / "runs.jsonl")

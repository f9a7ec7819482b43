"""Settings of image classifiers, by themselves and from a command line."""

from __future__ import annotations

import pytest
from image_records_of import config

from grandpp.studies.images.command import ImageOptions
from grandpp.studies.images.settings import IMAGE_DEFAULTS, ImageSettings
from grandpp.training.command import OneLineParser
from grandpp.training.options import add_options, read_options


def configs(line: str):
    parser = OneLineParser(prog="program")
    add_options(parser, ImageOptions)
    options = read_options(parser.parse_args(line.split()), ImageOptions)
    return options.configs(options.models, options.seeds)


def test_defaults_fill_in_and_seeds_are_done_one_after_the_other():
    runs = ImageSettings(dataset="mnist", tolerance=1e-3).configs((), range(2))
    assert [(r.seed, r.model) for r in runs] == [
        (seed, model) for seed in (0, 1) for model in IMAGE_DEFAULTS["mnist"].models
    ]
    assert {(r.tolerance, r.lr, r.epochs) for r in runs} == {(1e-3, 1e-3, 10)}
    assert [r.model for r in ImageSettings().configs(["anode", "anode"], [5])] == ["anode"]


def test_only_cifar_is_mirrored_and_nothing_is_moved_unasked():
    moved = {name: config(dataset=name, augment=True).augmentation for name in IMAGE_DEFAULTS}
    assert moved["cifar10"] == {"shift": 4, "flip": True}
    assert not moved["mnist"]["flip"] and not moved["digits"]["flip"]
    assert config(dataset="cifar10").augmentation == {}


def test_a_checkpoint_holds_what_decides_an_epoch_and_nothing_else():
    one = config().training("all of them")
    assert one == config(epochs=9, tolerances=(1e-3,)).training("all of them")
    assert one != config(lr=0.5).training("all of them")
    assert one != config().training("half of them")
    assert all(isinstance(v, str | int | float | bool) for v in one.values())


def test_every_option_reaches_its_setting():
    (run,) = configs(
        "--dataset cifar10 --model anode --tol 2e-3 --lr 0.2 --batch-size 3 --epochs 7 --seed 5 "
        "--train 11 --test 12 --augment --amp --solver tsit5 "
        "--tolerances 1e-2 1e-3 --tolerance-images 9"
    )
    assert (run.dataset, run.model, run.tolerance, run.lr) == ("cifar10", "anode", 2e-3, 0.2)
    assert (run.batch_size, run.epochs, run.seed, run.train, run.test) == (3, 7, 5, 11, 12)
    assert run.augment and run.amp and run.tolerances == (1e-2, 1e-3)
    assert run.tolerance_images == 9 and run.solver == "tsit5"


def test_without_options_digits_are_classified_by_two_models():
    assert [(r.dataset, r.model, r.seed) for r in configs("")] == [
        ("digits", "node", 0),
        ("digits", "hbnode", 0),
    ]
    assert [r.seed for r in configs("--model node --runs 3 --seed 4")] == [4, 5, 6]


def test_another_solver_has_a_checkpoint_of_its_own_and_dopri5_that_of_older_versions():
    old, new = config(solver="dopri5"), config(solver="tsit5")
    assert old.name == "digits-node-0-tol0.001-lr0.01-batch64"
    assert new.name == old.name + "-tsit5"
    assert "solver" not in old.training("all") and new.training("all")["solver"] == "tsit5"


def test_finer_tolerances_are_counted_after_training_in_bfloat16():
    (run,) = configs("--amp --model node --tolerances 1e-3 1e-6")
    assert run.amp and run.tolerances == (1e-3, 1e-6)


@pytest.mark.parametrize(
    "line", ["--tol 0", "--tol x", "--lr inf", "--tolerances 1e-3 -1", "--dataset svhn"]
)
def test_bad_values_are_one_line_and_exit_code_two(line, capsys):
    with pytest.raises(SystemExit) as stop:
        configs(line)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("program: error: ") and error.count("\n") == 1

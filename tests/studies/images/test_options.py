"""The command line of image_classify."""

from __future__ import annotations

import pytest

from grandpp.studies.images.options import image_parser, parsed_configs

MODELS = ("node", "anode", "hbnode")


def configs(line: str):
    return parsed_configs(image_parser("program", None, MODELS).parse_args(line.split()))


def test_every_option_reaches_its_setting():
    (run,) = configs(
        "--dataset cifar10 --model anode --tol 2e-3 --lr 0.2 --batch-size 3 --epochs 7 --seed 5 "
        "--train 11 --test 12 --augment --amp --tolerances 1e-2 1e-3 --tolerance-images 9"
    )
    assert (run.dataset, run.model, run.tolerance, run.lr) == ("cifar10", "anode", 2e-3, 0.2)
    assert (run.batch_size, run.epochs, run.seed, run.train, run.test) == (3, 7, 5, 11, 12)
    assert run.augment and run.amp and run.tolerances == (1e-2, 1e-3)
    assert run.tolerance_images == 9


def test_without_options_digits_are_classified_by_two_models():
    assert [(r.dataset, r.model, r.seed) for r in configs("")] == [
        ("digits", "node", 0),
        ("digits", "hbnode", 0),
    ]
    assert [r.seed for r in configs("--model node --runs 3 --seed 4")] == [4, 5, 6]


@pytest.mark.parametrize(
    "line", ["--tol 0", "--tol x", "--lr inf", "--tolerances 1e-3 -1", "--dataset svhn"]
)
def test_bad_values_are_one_line_and_exit_code_two(line, capsys):
    with pytest.raises(SystemExit) as stop:
        configs(line)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("program: error: ") and error.count("\n") == 1

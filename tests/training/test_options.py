"""Options of a command line, declared as fields of dataclasses."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from grandpp.training.options import (
    CheckpointOptions,
    RecordOptions,
    ReportOptions,
    add_options,
    option,
    options_of,
    positive_float,
    positive_int,
    read_options,
)


@dataclass(frozen=True, kw_only=True)
class Options(ReportOptions, RecordOptions):
    """Options of a test."""

    labels: tuple[int, ...] = option("labels", parse=positive_int, metavar="K")
    models: tuple[str, ...] = option(
        "of {choices}", default=("a",), flag="--model", choices=("a", "b"), metavar="NAME"
    )
    time: float | None = option("100 % of the time", default=None)
    norm: bool | None = option("normalise", default=None, negatable=True)
    inner: str = "no option"


def parse(*argv: str) -> Options:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, Options)
    return read_options(parser.parse_args(argv), Options)


def test_defaults_are_those_of_the_dataclass():
    assert parse("--labels", "1") == Options(labels=(1,))


def test_values_are_parsed_by_the_type_of_the_field():
    given = parse(
        *[
            "--labels",
            "1",
            "2",
            "--labels",
            "5",
            "--model",
            "a",
            "b",
            "--model",
            "b",
            "--time",
            "2",
            "--no-norm",
            "--out",
            "x",
            "--json",
        ]
    )
    assert given == Options(
        labels=(1, 2, 5), models=("a", "b", "b"), time=2.0, norm=False, out=Path("x"), json=True
    )
    assert type(given.time) is float


@pytest.mark.parametrize(
    "argv",
    ["", "--labels 0", "--labels 1 --model c", "--labels 1 --time x", "--labels 1 --inner x"],
    ids=["missing", "range", "choice", "type", "no option"],
)
def test_what_does_not_fit_is_refused(argv):
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parse(*argv.split())


def test_help_has_choices_defaults_and_groups():
    parser = argparse.ArgumentParser()
    add_options(parser, Options)
    text = " ".join(parser.format_help().split())
    assert "of a, b (default: a)" in text
    assert "100 % of the time" in text
    assert "Output:" in text and "Records of results:" in text
    assert "(default: None)" not in text and "(default: False)" not in text


def test_a_positional_option_takes_several_values():
    @dataclass(frozen=True, kw_only=True)
    class Files:
        """Files."""

        files: tuple[Path, ...] = option("files", positional=True, metavar="FILE")

    globals()["Files"] = Files
    parser = argparse.ArgumentParser()
    add_options(parser, Files)
    assert read_options(parser.parse_args(["a", "b"]), Files).files == (Path("a"), Path("b"))


def test_an_option_may_have_a_second_name():
    @dataclass(frozen=True, kw_only=True)
    class Seeds:
        """Seeds."""

        seed: int = option("the first", default=0, alias="--first-seed")

    globals()["Seeds"] = Seeds
    parser = argparse.ArgumentParser()
    add_options(parser, Seeds)
    for name in ("--seed", "--first-seed"):
        assert read_options(parser.parse_args([name, "4"]), Seeds).seed == 4


def test_resuming_needs_a_checkpoint():
    with pytest.raises(ValueError, match="expected --checkpoint with --resume"):
        CheckpointOptions(resume=True)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of all models."""

    epochs: int = option("training epochs", default=100, shown_default="tuned")
    norm: bool = option("normalise", default=True, negatable=True)
    width: int = 8


@dataclass(frozen=True, kw_only=True)
class Deep(Settings):
    """Settings of deep models."""

    epochs: int = 7
    depth: float = option("how deep", default=2.5)


@dataclass(frozen=True, kw_only=True)
class Wide(Settings):
    """Settings of wide models."""

    seeds: int = option("runs", default=1)


def read(declared, *argv):
    parser = argparse.ArgumentParser()
    add_options(parser, declared)
    return read_options(parser.parse_args(argv), declared), parser.format_help()


@dataclass(frozen=True, kw_only=True)
class Few:
    """Options of a command that takes over one option and gives it another default."""

    settings: dict = options_of((Deep, Wide), only=("epochs",), epochs=30)


@dataclass(frozen=True, kw_only=True)
class All:
    """Options of a command that takes over all of them."""

    settings: dict = options_of((Deep, Wide))


@dataclass(frozen=True, kw_only=True)
class Most:
    """Options of a command that leaves one option out."""

    settings: dict = options_of((Deep, Wide), without=("depth",))


def test_a_command_leaves_options_out():
    given, text = read(Most, "--seeds", "2")
    assert given.settings == {"seeds": 2} and "--epochs" in text and "--depth" not in text


def test_options_of_models_are_taken_over_once_and_hold_what_was_given():
    given, text = read(All, "--depth", "3", "--no-norm", "--seeds", "2")
    assert given.settings == {"depth": 3.0, "norm": False, "seeds": 2}
    assert read(All)[0].settings == All().settings == {}
    assert text.count("training epochs (default: tuned)") == 1
    assert "how deep (default: 2.5)" in text and "--width" not in text
    for title in ("Settings of all models", "Settings of deep models", "Settings of wide models"):
        assert text.count(title) == 1


def test_a_command_takes_over_some_options_with_other_defaults():
    given, text = read(Few, "--epochs", "5")
    assert given.settings == {"epochs": 5}
    assert read(Few)[0].settings == Few().settings == {"epochs": 30}
    assert "training epochs (default: 30)" in text and "--norm" not in text


def test_one_option_with_two_descriptions_is_refused():
    @dataclass(frozen=True, kw_only=True)
    class Other:
        """Settings of other models."""

        epochs: int = option("something else", default=1)

    globals()["Other"] = Other

    @dataclass(frozen=True, kw_only=True)
    class Both:
        """Options of a command."""

        settings: dict = options_of((Deep, Other))

    globals()["Both"] = Both
    with pytest.raises(TypeError, match=r"declaration of the option 'epochs'.*Settings and Oth"):
        read(Both)


def test_a_field_declared_again_has_the_description_of_its_first_declaration():
    @dataclass(frozen=True, kw_only=True)
    class Fewer(Deep):
        """Fewer."""

        depth: float = 1.5

    globals()["Fewer"] = Fewer
    given, text = read(Fewer)
    assert given.depth == 1.5
    assert "how deep (default: 1.5)" in text


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1e3"])
def test_counts_are_positive_integers(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"positive integer .got '{text}'"):
        positive_int(text)
    assert positive_int("12") == 12


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "many", ""])
def test_numbers_above_zero(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"positive number .got '{text}'"):
        positive_float(text)
    assert positive_float("1e-3") == 1e-3


def test_a_path_may_begin_at_home(monkeypatch):
    """``--out=~/x`` reaches the command as it is written; the shell expands ``--out ~/x`` alone."""
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse("--labels", "1", "--out", "~/r.jsonl").out == Path("/home/someone/r.jsonl")
    assert parse("--labels", "1", "--out", "~r.jsonl").out == Path("~r.jsonl")

"""Errors in one line, exit code 2, and the types of options."""

from __future__ import annotations

import argparse

import pytest
import torch

from grandpp.training.cli import (
    OneLineParser,
    fail,
    positive_float,
    positive_int,
    resolve_device,
)


def line(stop, capsys):
    """The one line that a program ends with."""
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_message_of_many_lines_becomes_one(capsys):
    with pytest.raises(SystemExit) as stop:
        fail("prog", ValueError("first\n   second\n"))
    assert line(stop, capsys) == "prog: error: first second\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--runs"),
        (["--runs"], "expected one argument"),
        (["--runs", "0"], "expected a positive integer (got '0')"),
        (["--runs", "2", "--loud"], "--loud"),
    ],
)
def test_wrong_options_are_one_line_without_the_usage(capsys, arguments, words):
    parser = OneLineParser(prog="prog", description="what it does")
    parser.add_argument("--runs", type=positive_int, required=True)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(arguments)
    message = line(stop, capsys)
    assert message.startswith("prog: error: ")
    assert words in message
    assert "usage" not in message
    assert parser.parse_args(["--runs", "3"]).runs == 3


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1e3"])
def test_counts_are_positive_integers(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"positive integer .got '{text}'"):
        positive_int(text)
    assert positive_int("12") == 12


def test_devices_are_found_or_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="expected a CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cpu") == torch.device("cpu")


def test_numbers_above_zero():
    assert positive_float("1e-7") == 1e-7
    for text in ("0", "-1", "x", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"positive number \\(got '{text}'"):
            positive_float(text)

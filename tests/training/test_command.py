"""Commands: exit codes, one line per error, what is printed where."""

from dataclasses import dataclass

import pytest
import torch

from grandpp.training.command import Command, Console, resolve_device, run_command
from grandpp.training.options import ReportOptions, option
from grandpp.training.pools import WorkerError


@dataclass(frozen=True, kw_only=True)
class Options(ReportOptions):
    """Options of a test."""

    number: int = option("a number", default=1)

    def __post_init__(self):
        if self.number < 0:
            raise ValueError(f"expected a number of at least 0\n(got {self.number})")


def command(act):
    return Command("try", "Try something.", Options, act)


def test_the_exit_code_is_that_of_the_command(capsys):
    def act(options, console):
        console.emit({"number": options.number})
        console.show("table")
        return 3

    assert run_command(command(act), ["--number", "5"]) == 3
    assert capsys.readouterr().out == "table\n"
    assert run_command(command(act), ["--number", "5", "--json"]) == 3
    out, err = capsys.readouterr()
    assert (out, err) == ('{"number": 5}\n', "table\n")


@pytest.mark.parametrize("error", [ValueError("a\nb"), OSError("a b"), ImportError("a b")])
def test_errors_of_users_are_one_line_and_exit_code_2(error, capsys):
    def act(options, console):
        raise error

    assert run_command(command(act), []) == 2
    assert capsys.readouterr().err == "grandpp try: error: a b\n"


def test_faults_of_the_program_are_not_hidden():
    def act(options, console):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        run_command(command(act), [])


def test_options_are_refused_in_one_line(capsys):
    assert run_command(command(None), ["--number", "-1"], program="name") == 2
    assert capsys.readouterr().err == "name: error: expected a number of at least 0 (got -1)\n"
    with pytest.raises(SystemExit) as stop:
        run_command(command(None), ["--number", "x"], program="name")
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (WorkerError, 2)])
def test_a_stopped_command_says_what_is_kept(error, code, capsys):
    def act(options, console: Console):
        console.kept = lambda: "2 runs are shown"
        try:
            raise error("lost")
        finally:
            console.show("table")

    assert run_command(command(act), []) == code
    out, err = capsys.readouterr()
    assert out == "table\n"
    assert err.endswith("; 2 runs are shown\n")


def test_an_answer_is_json_on_stdout_in_any_case(capsys):
    for as_json in (True, False):
        Console("try", as_json=as_json).answer({"layers": [1]})
    assert capsys.readouterr().out == '{"layers": [1]}\n' * 2


def test_devices_are_found_or_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cpu") == torch.device("cpu")

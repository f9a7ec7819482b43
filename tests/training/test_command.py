"""Commands: exit codes, one line per error, what is printed where."""

import importlib
import pickle
from concurrent.futures import Future
from dataclasses import dataclass

import pytest
import torch

from grandpp.graph import check_edge_index
from grandpp.layers import GRANDConv
from grandpp.solvers import resolve_solver
from grandpp.training.command import Command, Console, resolve_device, run_command
from grandpp.training.options import ReportOptions, option
from grandpp.training.pools import WorkerError
from grandpp.training.user_errors import keep_user_error


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


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lambda: torch.zeros(1, sice=2), TypeError),
        (lambda: torch.nn.Linear(2, 2)(), TypeError),  # raised by a library
        (lambda: len(None), TypeError),
        (lambda: (lambda: 0)(1), TypeError),
        (lambda: [][0], IndexError),
        (lambda: torch.zeros(2)[3], IndexError),
        (lambda: importlib.import_module("grandpp.no_such_module"), ImportError),
        (lambda: exec("from grandpp import no_such_name"), ImportError),
    ],
)
def test_a_wrong_call_inside_is_a_fault_and_no_error_of_the_user(fault, kind, capsys):
    with pytest.raises(kind):
        run_command(command(lambda options, console: fault()), [])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: GRANDConv(4, time="long"), "expected 'time' to be a number"),
        (lambda: resolve_solver("exact", step_size=1.0), "expected options of 'exact'"),
        (lambda: check_edge_index(torch.tensor([[0], [5]]), 2), "(got 5)"),
    ],
)
def test_what_the_package_refuses_is_one_line_whatever_its_class(wrong, words, capsys):
    assert run_command(command(lambda options, console: wrong()), []) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error


def in_another_process(wrong):
    """Raise what a function raises as a pool of processes does: pickled, by the library's code."""
    future = Future()
    try:
        wrong()
    except TypeError as error:
        keep_user_error(error)
        future.set_exception(pickle.loads(pickle.dumps(error)))
    future.result()


def test_errors_of_users_and_faults_are_told_apart_in_another_process(capsys):
    def act(options, console):
        in_another_process(lambda: GRANDConv(4, time="long"))

    def fault(options, console):
        in_another_process(lambda: GRANDConv())

    assert run_command(command(act), []) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(TypeError):
        run_command(command(fault), [])


ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), MemoryError("Unable to allocate 3 TiB"), RuntimeError(ALLOCATOR),
     torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.\nMore")],
)  # fmt: skip
def test_too_little_memory_is_one_line_that_says_what_to_try(error, capsys):
    def act(options, console):
        console.kept = lambda: "2 runs are shown"
        raise error

    assert run_command(command(act), []) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "memory did not suffice" in text
    assert "grandpp partition" in text and text.endswith("; 2 runs are shown\n")


def test_the_allocator_of_torch_says_what_is_recognised(capsys):
    act = lambda options, console: torch.empty(2**58)  # noqa: E731
    assert run_command(command(act), []) == 2
    assert "memory did not suffice" in capsys.readouterr().err


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

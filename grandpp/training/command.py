"""Run a command: parse its options, print results, turn errors and Ctrl-C into exit codes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import torch

from grandpp.training.json_lines import to_json
from grandpp.training.memory import is_out_of_memory, keep_freed_memory
from grandpp.training.options import add_options, read_options
from grandpp.training.pools import WorkerError
from grandpp.training.user_errors import USER_ERRORS, is_user_error

O = TypeVar("O")  # noqa: E741 - the options

_OUT_OF_MEMORY = (
    "memory did not suffice{}: take a smaller model, smaller batches or fewer workers; a graph too "
    "large for one process is cut into parts by 'grandpp partition', for 'grandpp train-sharded'"
)


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage (``--help`` has it) and exit with 2."""
        raise SystemExit(Console(self.prog).complain(message))


@dataclass
class Console:
    """Output of a command.

    Args:
        program: Name of the command, which stands before every message.
        as_json: Results are JSON lines on stdout, tables go to stderr.
        quiet: No progress bars.
        kept: Returns what is kept of an interrupted command, for the message. (default: nothing)
    """

    program: str
    as_json: bool = False
    quiet: bool = False
    kept: Callable[[], str] | None = None

    def emit(self, record: Mapping[str, Any]) -> None:
        """Print one result as a JSON line, where these are asked for."""
        if self.as_json:
            sys.stdout.write(f"{to_json(record)}\n")
            sys.stdout.flush()

    def answer(self, value: Mapping[str, Any]) -> None:
        """Print JSON on stdout, whether --json was given or not."""
        sys.stdout.write(f"{json.dumps(value)}\n")

    def show(self, text: str) -> None:
        """Print a table or a sentence: to stderr where stdout has JSON lines."""
        (sys.stderr if self.as_json else sys.stdout).write(f"{text}\n")

    def notice(self, message: object) -> None:
        """Print a notice of one line to stderr."""
        self._line(f"notice: {message}")

    def complain(self, message: object) -> int:
        """Print an error as one line to stderr; return the exit code 2."""
        self._line(f"error: {message}")
        return 2

    def interrupted(self) -> int:
        """Print that the command was interrupted and what is kept; return the exit code 130."""
        kept = "" if self.kept is None else f"; {self.kept()}"
        sys.stderr.write("\n")  # after ^C, or a progress bar
        self._line(f"interrupted{kept}")
        return 130

    def stopped(self, message: object) -> int:
        """Print why the command could not go on and what is kept; return the exit code 2."""
        kept = "" if self.kept is None else f"; {self.kept()}"
        return self.complain(f"{message}{kept}")

    def out_of_memory(self, error: BaseException) -> int:
        """Print that memory did not suffice and what to try; return the exit code 2."""
        # The message of torch's allocator begins with a place in its source.
        first = str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2]
        return self.stopped(_OUT_OF_MEMORY.format(f" ({first})" if first else ""))

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{self.program}: {' '.join(text.split())}\n")


@dataclass(frozen=True)
class Command(Generic[O]):
    """A command of ``grandpp``.

    Args:
        name: Name that the user types.
        about: Its help: one sentence, then examples and explanations.
        options: Dataclass of its options, see :mod:`grandpp.training.options`.
        run: Runs the command; returns the exit code. A ``finally`` clause of it prints after
            Ctrl-C, too.
    """

    name: str
    about: str
    options: type[O]
    run: Callable[[O, Console], int]


def run_command(
    command: Command[Any], argv: Sequence[str] | None = None, program: str | None = None
) -> int:
    """Parse the arguments of a command and run it.

    Args:
        command: The command.
        argv: Arguments. (default: those of the process)
        program: Its name in messages and in the help. (default: ``grandpp NAME``)

    Returns:
        0, or the exit code of the command; 2 after an error of the user or where memory did not
        suffice, with one line on stderr; 130 after Ctrl-C.

    Raises:
        Exception: Faults of the program, see :func:`grandpp.training.user_errors.is_user_error`.
    """
    program = program or f"grandpp {command.name}"
    parser = OneLineParser(
        prog=program,
        description=command.about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, command.options)
    args = parser.parse_args(argv)
    console = Console(program, getattr(args, "json", False), getattr(args, "quiet", False))
    keep_freed_memory()
    try:
        return command.run(read_options(args, command.options), console)
    except KeyboardInterrupt:
        return console.interrupted()
    except BrokenPipeError:  # the reader of a pipe has ended, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except WorkerError as error:
        return console.stopped(error)
    except USER_ERRORS as error:
        if not is_user_error(error, str(getattr(command.run, "__module__", "")).partition(".")[0]):
            raise
        return console.complain(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return console.out_of_memory(error)


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device.

    Raises:
        ValueError: If CUDA is requested and not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device for --device cuda (this torch finds none)")
    return torch.device(name)

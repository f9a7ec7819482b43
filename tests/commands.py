"""Commands as their users meet them: arguments in, exit code out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grandpp.training.command import Command, run_command


def main_of(command: Command, program: str) -> Callable[[Sequence[str]], int]:
    """The exit code of a command for some arguments, also where its parser ends the process."""

    def main(argv: Sequence[str]) -> int:
        try:
            return run_command(command, list(argv), program=program)
        except SystemExit as stop:
            return stop.code

    return main

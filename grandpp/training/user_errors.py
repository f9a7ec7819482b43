"""Tell errors that are meant for the user of a command from faults of the program."""

from __future__ import annotations

import dis
from types import TracebackType

from grandpp.data import DatasetError
from grandpp.solvers import SolveError

ALWAYS: tuple[type[Exception], ...] = (ValueError, OSError, DatasetError, SolveError)
"""Errors about values, files and solves: what the user gave, or the machine has, is wrong."""

IF_RAISED_ON_PURPOSE: tuple[type[Exception], ...] = (TypeError, IndexError, ImportError)
"""Errors that faults of a program cause as well, such as a call with wrong arguments."""

USER_ERRORS: tuple[type[Exception], ...] = (*ALWAYS, *IF_RAISED_ON_PURPOSE)
"""What :func:`is_user_error` may accept."""

_MARK = "_is_user_error"


def is_user_error(error: BaseException, *packages: str) -> bool:
    """Whether an error is to be reported in one line, rather than with its traceback.

    Errors of :data:`ALWAYS` are. Those of :data:`IF_RAISED_ON_PURPOSE` are where a ``raise``
    statement of this package made them, to say what is wrong with an option or a file; where Python
    or a library made them, the program is at fault.

    Args:
        error: The error, as caught.
        *packages: Packages beside ``grandpp`` whose ``raise`` statements count.
    """
    if isinstance(error, ALWAYS):
        return True
    if not isinstance(error, IF_RAISED_ON_PURPOSE):
        return False
    return getattr(error, _MARK, False) or _is_raised_by(error, ("grandpp", *packages))


def keep_user_error(error: BaseException) -> None:
    """Mark a user error as one, for another process, which does not get the traceback."""
    if is_user_error(error):
        setattr(error, _MARK, True)


def _is_raised_by(error: BaseException, packages: tuple[str, ...]) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and _package(last) in packages and _is_raise_statement(last)


def _package(where: TracebackType) -> str:
    return str(where.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_raise_statement(where: TracebackType) -> bool:
    return dis.opname[where.tb_frame.f_code.co_code[where.tb_lasti]] == "RAISE_VARARGS"

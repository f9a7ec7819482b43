"""Remember Ctrl-C where the exception that it raises is lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """Remember SIGINT while this context is open.

    Python raises ``KeyboardInterrupt`` wherever the main thread is. Inside a finalizer or a
    callback of a weak reference, which process pools have many of, it is printed and ignored, and
    the program goes on as if nothing had been pressed. :meth:`check` raises it again, so that such
    an interrupt is not printed while this context is open. In other threads than the main one,
    which no signal reaches, nothing is remembered.
    """

    def __init__(self) -> None:
        self._seen = False
        self._before: Any = None
        self._print: Callable[[sys.UnraisableHookArgs], Any] = sys.unraisablehook

    def __enter__(self) -> Interrupts:
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._hear)
            self._print, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._print
            self._before = None

    def check(self) -> None:
        """Raise the interrupt that came since the context was opened.

        Raises:
            KeyboardInterrupt: If one came.
        """
        if self._seen:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> Any:
        self._seen = True
        return self._before(number, frame)

    def _dropped(self, what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            self._print(what)

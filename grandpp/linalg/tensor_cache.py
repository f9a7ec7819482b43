"""Cache values computed from an integer tensor, by its content and within a memory budget.

Own code, because ``functools.lru_cache`` compares tensors by identity and counts no bytes.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

Value = TypeVar("Value")
Key = tuple[object, ...]


@dataclass(eq=False)
class _Entry(Generic[Value]):
    """A cached value and its tensor; both are ``None`` after it was dropped."""

    content: Tensor | None
    value: Value | None
    size: int
    key: Key


class Prepared(Generic[Value]):
    """Values by the content of the tensors that they were computed from.

    A value is used only if the tensor still holds the very same numbers (one comparison), so that
    changes of the tensor are noticed. Tensors of equal content share one value. It is forgotten
    when the last of them dies, or when others were used more recently and all together are larger
    than the budget. Safe to use from several threads.

    Args:
        budget: Bytes to hold at most, as far as sizes are known beforehand.
        fewest: Values to hold in any case, the most recently used ones.
    """

    def __init__(self, budget: int, fewest: int) -> None:
        self.budget, self.fewest = budget, fewest
        self._lock = threading.RLock()
        self._of: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._recent: OrderedDict[int, weakref.ref[_Entry[Value]]] = OrderedDict()
        self._alike: dict[Key, weakref.ref[_Entry[Value]]] = {}
        self._estimate = 0  # never less than what is held; counted anew where it is too much

    def get(self, tensor: Tensor, about: int, build: Callable[[], tuple[Value, int]]) -> Value:
        """Return the value of a tensor, computed if it is not cached.

        Args:
            tensor: The tensor.
            about: A number that the value depends on as well.
            build: Computes the value and its size in bytes.
        """
        with self._lock:
            found = self._known(self._of.get(tensor), tensor, about)
            if found is not None:
                return found
            key = _fingerprint(tensor, about)
            entry = self._alike[key]() if key in self._alike else None
            found = self._known(entry, tensor, about)
            if found is not None:
                self._of[tensor] = entry
                return found
        value, size = build()
        with self._lock:
            self._of[tensor] = entry = _Entry(tensor.clone(), value, size, key)
            self._recent[id(entry)] = self._alike[key] = weakref.ref(entry)
            self._estimate += size
            if self._estimate > self.budget:
                self._drop()
        return value

    @property
    def size(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(entry.size for entry in self._alive())

    def _known(self, entry: _Entry[Value] | None, tensor: Tensor, about: int) -> Value | None:
        if entry is None or entry.content is None or entry.key[0] != about:
            return None
        if entry.content.device != tensor.device or not torch.equal(entry.content, tensor):
            return None
        if id(entry) in self._recent:
            self._recent.move_to_end(id(entry))
        return entry.value

    def _alive(self) -> list[_Entry[Value]]:
        self._recent = OrderedDict((k, ref) for k, ref in self._recent.items() if ref() is not None)
        self._alike = {k: ref for k, ref in self._alike.items() if ref() is not None}
        return [entry for ref in self._recent.values() if (entry := ref()) is not None]

    def _drop(self) -> None:
        entries = self._alive()
        self._estimate = sum(entry.size for entry in entries)
        for entry in entries[: max(0, len(entries) - self.fewest)]:
            if self._estimate <= self.budget:
                break
            self._estimate -= entry.size
            del self._recent[id(entry)]
            entry.content = entry.value = None


def _fingerprint(tensor: Tensor, about: int) -> Key:
    """Equal for equal contents, and rarely for others; reads one number from the device."""
    flat = tensor.reshape(-1).long()
    place = torch.arange(1, flat.numel() + 1, device=flat.device)
    mixed = int(((flat * 0x9E3779B1 + 1) * place).sum()) if flat.numel() else 0
    return about, tuple(tensor.shape), tensor.dtype, tensor.device, mixed

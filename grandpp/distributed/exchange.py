"""Communication of the ranks of a job: rows of features, sums, maxima; failures in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from grandpp.linalg import Reductions


class LostRankError(RuntimeError):
    """Another rank of the job ended, or did not answer within the timeout."""


@contextmanager
def communicating() -> Iterator[None]:
    """Turn the errors of a backend into one with the rank and the likely cause.

    Raises:
        LostRankError: If the communication fails.
    """
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[[^\]]*\]\s*", "", str(error).strip()).split(". ")[0].splitlines()
        raise LostRankError(
            f"rank {_rank()} lost another rank, which ended or did not answer in time "
            f"({reason[0] if reason else type(error).__name__})"
        ) from error


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


@dataclass(frozen=True, eq=False)
class RankReductions(Reductions):
    """Reductions over the ranks of a process group.

    Args:
        counts: Number of nodes of every rank.
        device: Where numbers are reduced that are on no device yet.
    """

    counts: tuple[int, ...]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    is_local = False

    def sum(self, x: Tensor) -> Tensor:
        """Sum a tensor over all ranks; its gradient is the sum of the gradients of all ranks."""
        total: Tensor = _Sum.apply(x)
        return total

    @torch.no_grad()
    def max(self, x: Tensor) -> Tensor:
        """The largest values of a tensor in any rank."""
        return _all_reduce(x, dist.ReduceOp.MAX)

    def all(self, flag: bool) -> bool:
        """Whether a flag is set in every rank."""
        unset = torch.tensor(int(not flag), dtype=torch.int32, device=self.device)
        return not bool(self.max(unset))

    def most_rows(self, here: int) -> int:
        """The largest number of rows in any rank."""
        return max(self.counts) * here // self.counts[_rank()]


def _all_reduce(x: Tensor, op: Any) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    if dist.is_initialized() and dist.get_world_size() > 1:
        with communicating():
            dist.all_reduce(total, op)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _all_reduce(x, dist.ReduceOp.SUM)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # The loss is the sum of those of all ranks, each of which depends on the total.
        total: Tensor = _Sum.apply(grad)
        return total


@dataclass(frozen=True, eq=False)
class Buffers:
    """Memory that one product after the other uses for its rows under way.

    Fresh memory for every product fragments the heap: a rank then holds twice what it needs.
    """

    kept: dict[str, Tensor] = field(default_factory=dict)

    def get(self, name: str, rows: int, like: Tensor) -> Tensor:
        """A tensor ``[rows, ...]`` like another one, with what it last held.

        Args:
            name: What it is for; for each name the last one is kept.
            rows: Number of rows.
            like: Features ``[N, ...]``.
        """
        shape, found = (rows, *like.shape[1:]), self.kept.get(name)
        if found is None or (found.shape, found.dtype, found.device) != (
            shape,
            like.dtype,
            like.device,
        ):
            with torch.inference_mode(False):  # what is made inside could not be written outside
                found = torch.empty(shape, dtype=like.dtype, device=like.device)
            self.kept[name] = found
        return found


@dataclass(frozen=True, eq=False)
class Halo:
    """Rows of features that ranks send one another before a product.

    Args:
        send_index: Rows here that others need, grouped by rank, int64 ``[S]``.
        send_counts: How many of them go to each rank.
        receive_counts: How many rows come from each rank; they arrive in that order.
    """

    send_index: Tensor
    send_counts: tuple[int, ...]
    receive_counts: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number H of rows that come from others."""
        return sum(self.receive_counts)

    def fetch(self, x: Tensor, into: Tensor | None = None, sent: Tensor | None = None) -> Pending:
        """Begin to fetch the rows ``[H, ...]`` of others.

        Args:
            x: Features ``[N, ...]`` of each.
            into: Where the rows arrive ``[H, ...]``. (default: ``None``, fresh memory)
            sent: Memory for what is sent ``[S, ...]``. (default: ``None``, likewise)
        """
        rows = torch.index_select(x.detach(), 0, self.send_index, out=sent)
        return _exchange(rows, self.send_counts, self.receive_counts, into)

    def give(self, halo: Tensor, into: Tensor | None = None) -> Pending:
        """Begin to give values at rows of others to them: the transposed exchange.

        Args:
            halo: Values ``[H, ...]``.
            into: Where values at ``send_index`` arrive, which are to be added up ``[S, ...]``.
                (default: ``None``, fresh memory)
        """
        return _exchange(halo.detach(), self.receive_counts, self.send_counts, into)


@dataclass
class Pending:
    """An exchange under way.

    Args:
        rows: Where the rows arrive.
        sent: What is sent, which has to stay alive until then.
        work: Handle of the backend. (default: ``None``, the exchange is done)
    """

    rows: Tensor
    sent: Tensor
    work: Any = None

    def wait(self) -> Tensor:
        """The rows that arrived.

        Raises:
            LostRankError: If another rank is gone.
        """
        if self.work is not None:
            with communicating():
                self.work.wait()
        return self.rows


def _exchange(
    rows: Tensor, given: tuple[int, ...], taken: tuple[int, ...], into: Tensor | None
) -> Pending:
    rows = rows.contiguous()
    received = rows.new_empty(sum(taken), *rows.shape[1:]) if into is None else into
    if len(given) == 1:
        return Pending(received, rows)
    with communicating():
        work = dist.all_to_all_single(received, rows, list(taken), list(given), async_op=True)
    return Pending(received, rows, work)


def with_halo(x: Tensor, halo: Halo) -> Tensor:
    """Features here and then those of the halo ``[N + H, ...]``, differentiable twice."""
    found: Tensor = _WithHalo.apply(x, halo)
    return found


class _WithHalo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, halo: Halo) -> Tensor:
        ctx.halo = halo
        return torch.cat([x, halo.fetch(x).wait()])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _SumHalo.apply(grad, ctx.halo), None


class _SumHalo(torch.autograd.Function):
    """Values here plus what other ranks have at rows of this one."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, halo: Halo) -> Tensor:
        ctx.halo = halo
        here, there = y.split([y.size(0) - halo.size, halo.size])
        pending = halo.give(there)
        return here.clone().index_add_(0, halo.send_index, pending.wait())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _WithHalo.apply(grad, ctx.halo), None

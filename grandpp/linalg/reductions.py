"""Sums, maxima and decisions over the rows of a state, which may be spread over processes."""

from __future__ import annotations

from torch import Tensor


class Reductions:
    """Reductions over rows that are all in this process; subclasses reduce over several.

    A decision that rests on a reduced number is the same in every process, which then takes the
    same steps and the same number of products.
    """

    is_local = True
    """Whether all rows are in this process."""

    def sum(self, x: Tensor) -> Tensor:
        """Sum a tensor over all processes, differentiable."""
        return x

    def max(self, x: Tensor) -> Tensor:
        """The largest values of a tensor in any process, without a gradient."""
        return x

    def all(self, flag: bool) -> bool:
        """Whether a flag is set in every process."""
        return flag

    def most_rows(self, here: int) -> int:
        """The largest number of rows in any process, of which so many are here."""
        return here


LOCAL = Reductions()
"""All rows are in this process."""


def reductions_of(field: object) -> Reductions:
    """The reductions that a right-hand side names, or those of one process."""
    found: Reductions = getattr(field, "reductions", LOCAL)
    return found

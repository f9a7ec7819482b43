"""Norms of the gradient of a loss with respect to the state at every observation."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.sequence.observations import Observations


class AdjointNorms:
    """Norms of dL/d(state) right after every jump; ``backward()`` fills them in.

    Made by :meth:`ODERNN.adjoint_norms`.

    Args:
        batch_first: Whether the batch comes first in :attr:`norms`.
    """

    def __init__(self, batch_first: bool) -> None:
        self.batch_first = batch_first
        self._norms: Tensor | None = None
        self._arrived = False

    @property
    def norms(self) -> Tensor:
        """Euclidean norms ``[L, B]`` over position and momentum; zero past an element's length.

        Raises:
            RuntimeError: Before a run and a backward pass through it.
        """
        if self._norms is None or not self._arrived:
            raise RuntimeError(
                "expected a run inside the block and then backward() through it "
                "(got no gradient at any state)"
            )
        return self._norms.T if self.batch_first else self._norms

    def record(self, state: Tensor, batch_dim: int, seen: Observations, k: int, steps: int) -> None:
        """Register a hook that stores the norm of the gradient to the state after observation k.

        Args:
            state: The state.
            batch_dim: Dimension of the state that holds the elements of the batch.
            seen: The observations.
            k: Number of the observation.
            steps: Number of rows of the input, padding included.
        """
        if k == 0:
            self._norms = torch.zeros(steps, state.size(batch_dim)).to(state)
            self._arrived = False
        norms = self._norms
        if not state.requires_grad or norms is None:
            return
        dims = [d for d in range(state.dim()) if d != batch_dim]

        def store(grad: Tensor) -> None:
            self._arrived = True
            norm = torch.linalg.vector_norm(grad.detach(), dim=dims)
            norms[k] = norm if seen.present is None else norm * seen.present[k]

        state.register_hook(store)

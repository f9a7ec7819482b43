"""Train a flow of images by maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from grandpp.image.flow.model import ImageFlow
from grandpp.solvers import SolveStats
from grandpp.studies.flows.costs import EVALUATION_SEED, bits_per_dim, total_cost


class FlowTask:
    """A flow that learns images by maximum likelihood, as a ``Task`` of the training loop.

    Args:
        flow: The flow; its standardisation is fitted to the training images.
        train: Training images ``[N, C, H, W]``.
        test: Held-out images.
        lr: Learning rate of Adam at the start. (default: ``0.005``)
        decay: Factor of the learning rate after each epoch. (default: ``0.97``)
        batch_size: Images per step. (default: ``100``)
        clip: Largest norm of a gradient. (default: ``5.0``)
        seed: Of batches, dequantisation and noise of the trace. (default: ``0``)

    Note:
        Rows have the loss in bits/dim, averaged while the parameters change, evaluations forward
        and products backward per batch, and the bits/dim of the held-out images.
    """

    def __init__(
        self,
        flow: ImageFlow,
        train: Tensor,
        test: Tensor,
        *,
        lr: float = 0.005,
        decay: float = 0.97,
        batch_size: int = 100,
        clip: float = 5.0,
        seed: int = 0,
    ) -> None:
        self.flow = flow
        self.model: nn.Module = flow
        self.train, self.test = train, test
        self.batch_size, self.clip, self.decay = batch_size, clip, decay
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(flow.parameters(), lr=lr)
        flow.fit_standardization(train, self.generator)

    def train_epoch(self, on_batch: Callable[[], object]) -> dict[str, float]:
        """Take one pass over the training images."""
        order = torch.randperm(len(self.train), generator=self.generator)
        batches = order.split(self.batch_size)
        total = 0.0
        stats: list[SolveStats] = []
        for batch in batches:
            self.optimizer.zero_grad()
            scored = self.flow.score(self.train[batch], self.generator)
            loss = self.flow.bits_per_dim(scored.change).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.clip)
            self.optimizer.step()
            total += float(loss.detach()) * len(batch)
            stats += scored.stats
            on_batch()
        # Kept with the optimiser, so that a resumed training goes on from it.
        for group in self.optimizer.param_groups:
            group["lr"] *= self.decay
        forward, backward = total_cost(stats)
        count = len(batches)
        return {"loss": total / len(self.train), "nfe_forward": forward / count,
                "nfe_backward": backward / count}  # fmt: skip

    def evaluate(self) -> dict[str, float]:
        """Bits/dim of the held-out images, always with the same noise."""
        generator = torch.Generator().manual_seed(EVALUATION_SEED)
        return {"bits_per_dim": bits_per_dim(self.flow, self.test, generator, self.batch_size)}

"""Train a classifier of images and count the evaluations of every epoch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.fields.precision import LowPrecision
from grandpp.image.classifier import ODEClassifier
from grandpp.studies.images.augmentation import random_flip, random_shift


class ImageClassification:
    """A classifier in training: cross-entropy, Adam, no weight decay (HBNODE paper §5, Tab. 1).

    It fits the ``Task`` of ``grandpp.training.checkpointed_training``, which writes checkpoints and
    goes on from them. All randomness is that of ``generator``; images go to the device of the
    model.

    Args:
        model: The classifier.
        train: Images ``[N, C, H, W]`` and labels ``[N]``.
        test: Images ``[M, C, H, W]`` and labels ``[M]``.
        lr: Learning rate of Adam. (default: ``1e-3``)
        batch_size: Images in a batch; the last one of an epoch has the rest. (default: ``64``)
        seed: Of the order of images and of their augmentation. (default: ``0``)
        shift: Largest shift of training images, in pixels. (default: ``0``, as in the papers)
        flip: Mirror half of the training images. (default: ``False``)

    Raises:
        ValueError: If images and labels differ in number, there are none, or a number is out of
            range.

    Note:
        Evaluations (NFE) depend on the batch: the error norm is a mean over it. Test images go
        through in batches of the same size.
    """

    def __init__(
        self,
        model: ODEClassifier,
        train: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        *,
        lr: float = 1e-3,
        batch_size: int = 64,
        seed: int = 0,
        shift: int = 0,
        flip: bool = False,
    ) -> None:
        for name, (images, labels) in (("train", train), ("test", test)):
            if len(images) != len(labels) or len(labels) == 0:
                raise ValueError(
                    f"expected as many labels as images in '{name}', at least one "
                    f"(got {len(labels)} and {len(images)})"
                )
        if not (lr > 0 and batch_size >= 1 and shift >= 0):
            raise ValueError(
                "expected lr > 0, batch_size >= 1 and shift >= 0 "
                f"(got {lr}, {batch_size} and {shift})"
            )
        self.device = next(model.parameters()).device
        # Checkpoints have the type of any module; the solve needs the classifier.
        self.model: nn.Module = model
        self._classifier, self.train, self.test = model, train, test
        self.batch_size, self.shift, self.flip = batch_size, shift, flip
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def batches(self) -> int:
        """Number of steps in an epoch."""
        return -(-len(self.train[1]) // self.batch_size)

    def train_epoch(self, on_batch: Callable[[], object]) -> dict[str, float]:
        """Take one pass over the training images.

        Returns:
            ``loss`` and ``train_accuracy``, means over images while the parameters change, and
            ``nfe_forward`` and ``nfe_backward``, means over batches.
        """
        images, labels = self.train
        total, right, forward, backward = 0.0, 0, 0, 0
        for batch in torch.randperm(len(labels), generator=self.generator).split(self.batch_size):
            target = labels[batch].to(self.device)
            self.optimizer.zero_grad()
            solution = self._classifier.solve(self._augmented(images[batch].to(self.device)))
            logits = self._classifier.logits(solution)
            loss = F.cross_entropy(logits, target)
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * len(batch)
            right += int((logits.argmax(1) == target).sum())
            forward += solution.stats.nfe_forward
            backward += solution.stats.nfe_backward
            on_batch()
        return {
            "loss": total / len(labels),
            "train_accuracy": right / len(labels),
            "nfe_forward": forward / self.batches,
            "nfe_backward": backward / self.batches,
        }

    def _augmented(self, images: Tensor) -> Tensor:
        images = random_shift(images, self.shift, self.generator)
        return random_flip(images, self.generator) if self.flip else images

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Classify the test images.

        Returns:
            ``test_loss``, ``test_accuracy``, and ``nfe_test``, the mean over batches.
        """
        images, labels = self.test
        total, right, nfe = 0.0, 0, []
        for start in range(0, len(labels), self.batch_size):
            target = labels[start : start + self.batch_size].to(self.device)
            solution = self._classifier.solve(
                images[start : start + self.batch_size].to(self.device)
            )
            logits = self._classifier.logits(solution)
            total += float(F.cross_entropy(logits, target, reduction="sum"))
            right += int((logits.argmax(1) == target).sum())
            nfe.append(solution.stats.nfe_forward)
        return {
            "test_loss": total / len(labels),
            "test_accuracy": right / len(labels),
            "nfe_test": sum(nfe) / len(nfe),
        }


def nfe_at_tolerance(
    model: ODEClassifier, images: Tensor, labels: Tensor, tolerance: float, batch_size: int = 64
) -> dict[str, float]:
    """Evaluations that a trained classifier needs at another tolerance (HBNODE paper Fig. 7).

    As in Chen et al. (2018, Fig. 3): the parameters stay, the tolerance changes. Evaluations are
    those in float32, whatever the model was trained with: rounding to bfloat16 costs steps.

    Args:
        model: The classifier; its tolerance and its gradients are afterwards as before.
        images: ``[N, C, H, W]``.
        labels: ``[N]``.
        tolerance: Of the solver.
        batch_size: Images in a batch. (default: ``64``)

    Returns:
        ``tolerance``, ``nfe_forward`` and ``nfe_backward``, means over batches, and ``accuracy``.

    Raises:
        SolveError: If a solve fails.
        TypeError: If the solver has no tolerance to change.
    """
    before, field = model.flow.solver, model.flow.field
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    forward, backward, right = [], [], 0
    model.set_tolerance(tolerance)
    model.flow.field = field.field if isinstance(field, LowPrecision) else field
    try:
        for part, targets in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            target = targets.to(device)
            solution = model.solve(part.to(device))
            logits = model.logits(solution)
            loss = F.cross_entropy(logits, target)
            torch.autograd.grad(loss, parameters, allow_unused=True)
            forward.append(solution.stats.nfe_forward)
            backward.append(solution.stats.nfe_backward)
            right += int((logits.argmax(1) == target).sum())
    finally:
        model.flow.solver, model.flow.field = before, field
    return {
        "tolerance": tolerance,
        "nfe_forward": sum(forward) / len(forward),
        "nfe_backward": sum(backward) / len(backward),
        "accuracy": right / len(labels),
    }

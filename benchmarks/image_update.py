"""Time an update of image classifiers, as it was first written and as it is now, in turns.

Examples:
    python benchmarks/image_update.py
    python benchmarks/image_update.py --dataset digits --model hbnode --rounds 9 --json

An update is the forward solve, the loss and the backward pass by the adjoint on one batch. Ways:
"concatenated", the field with the time as one more channel of every convolution, solved by
torchdiffeq's dopri5; "field", the present field by the same solver; "native", the same by this
library's dormand_prince; "bf16", the same in bfloat16. All have the same parameters, those after a
few updates. "error" is that of the final state and "gradient_error" that of all parameters'
gradient, relative in the 2-norm and against a solve at a hundredth of the tolerance; "ratio" is the
median over rounds of the way's seconds by those of the first. The last rows are geometric means
over the models.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from statistics import geometric_mean, median

import torch
import torch.nn.functional as F
from common import Row, alternate, parser, ratio, run
from torch import Tensor, nn

from grandpp.data import IMAGE_DATASETS, load_images
from grandpp.fields import ConvField
from grandpp.image import IMAGE_MODELS, ODEClassifier, image_classifier
from grandpp.solvers import Solution
from grandpp.training.command import resolve_device
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_float, positive_int

WAYS = {
    "concatenated": {"solver": "dopri5"},
    "field": {"solver": "dopri5"},
    "native": {"solver": "dormand_prince"},
    "bf16": {"solver": "dormand_prince", "amp": True},
}
FIRST = next(iter(WAYS))


class ConcatenatedField(nn.Module):
    """A field in its first formulation: a plane of the time beside the channels of every layer."""

    def __init__(self, field: ConvField) -> None:
        super().__init__()
        self.inner, self.middle, self.outer = field.inner, field.middle, field.outer
        self.activation = field.activation

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        plane = t.to(h.dtype).expand(h.size(0), 1, *h.shape[2:])
        h = self.activation(self.inner(torch.cat([h, plane], dim=1)))
        h = self.activation(self.middle(torch.cat([h, plane], dim=1)))
        out: Tensor = self.outer(torch.cat([h, plane], dim=1))
        return out


def build(args: argparse.Namespace, model: str, way: str, **options: object) -> ODEClassifier:
    """A classifier in one of the ways, with the parameters of seed 0."""
    settings = {"tolerance": args.tolerance, **WAYS[way], **options}
    net = image_classifier(args.dataset, model, seed=0, **settings)
    return net.to(resolve_device(args.device))


def first_written(net: ODEClassifier) -> ODEClassifier:
    """The same parameters in the first formulation."""
    net.flow.field = ConcatenatedField(net.flow.field)
    if net.flow.initial is not None:
        net.flow.initial = nn.Sequential(*net.flow.initial)
    return net


@dataclass
class Update:
    """One update, the result of which is kept.

    Args:
        net: The classifier.
        images: ``[B, C, H, W]``.
        labels: ``[B]``.
    """

    net: ODEClassifier
    images: Tensor
    labels: Tensor
    solution: Solution[Tensor] | None = None

    def __call__(self) -> None:
        """Solve, and back-propagate the loss."""
        self.net.zero_grad()
        self.solution = self.net.solve(self.images)
        F.cross_entropy(self.net.logits(self.solution), self.labels).backward()

    def errors(self, exact: Update) -> dict[str, float]:
        """Distances of the final state and of the gradient from those of another update."""
        return {
            "error": apart(self._state(), exact._state()),
            "gradient_error": apart(self._gradient(), exact._gradient()),
        }

    def cost(self) -> dict[str, int]:
        """Evaluations forward and backward."""
        stats = self._done().stats
        return {"nfe_forward": stats.nfe_forward, "nfe_backward": stats.nfe_backward}

    def _done(self) -> Solution[Tensor]:
        if self.solution is None:
            raise ValueError("expected an update that was made (got none)")
        return self.solution

    def _state(self) -> Tensor:
        return self._done().y.detach()

    def _gradient(self) -> Tensor:
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        return torch.cat([grad.flatten() for grad in grads])


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per model and way, then one per way."""
    device = resolve_device(args.device)
    split = load_images(args.dataset, args.root, progress=False)
    images, labels = split.train_images.to(device), split.train_labels.to(device)
    ratios: dict[str, list[float]] = {way: [] for way in WAYS}
    size = args.batch_size
    batch = (images[:size], labels[:size])
    for model in args.model or IMAGE_MODELS[args.dataset]:
        trained = build(args, model, "native")
        optimizer = torch.optim.Adam(trained.parameters(), lr=1e-3)
        for step in range(1, args.updates + 1):
            part = slice(step * size % len(labels), step * size % len(labels) + size)
            Update(trained, images[part], labels[part])()
            optimizer.step()
        nets = {way: build(args, model, way) for way in WAYS}
        exact = build(args, model, "native", tolerance=args.tolerance / 100)
        for net in (*nets.values(), exact):
            with torch.no_grad():
                for own, known in zip(net.parameters(), trained.parameters(), strict=True):
                    own.copy_(known)
        first_written(nets[FIRST])
        reference = Update(exact, *batch)
        reference()
        works = {way: Update(net, *batch) for way, net in nets.items()}
        seconds = alternate(works, args.rounds, device, label=model)
        for way, work in works.items():
            share = ratio(seconds[way], seconds[FIRST]) or 0.0
            ratios[way].append(share)
            rows.append({
                "model": model, "way": way, **work.errors(reference), **work.cost(),
                "seconds": median(seconds[way]), "ratio": share,
            })  # fmt: skip
    for way, shares in ratios.items():
        blank = dict.fromkeys(rows[0], "")
        rows.append({**blank, "model": "all", "way": way, "ratio": geometric_mean(shares)})


def apart(x: Tensor, y: Tensor) -> float:
    """Relative distance of two tensors in the 2-norm."""
    return float((x - y).norm() / y.norm())


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    p = parser("image_update", __doc__, rounds=3)
    p.add_argument("--dataset", choices=IMAGE_DATASETS, default="mnist", help="(default: mnist)")
    p.add_argument("--model", action="append", choices=tuple(IMAGE_MODELS["mnist"]),
                   help="(default: all)")  # fmt: skip
    p.add_argument("--batch-size", type=positive_int, default=64, metavar="N", help="(default: 64)")
    p.add_argument("--tolerance", type=positive_float, default=1e-3, metavar="TOL",
                   help="(default: 1e-3)")  # fmt: skip
    p.add_argument("--updates", type=positive_int, default=5, metavar="N",
                   help="updates before the timings (default: 5)")  # fmt: skip
    args = p.parse_args(argv)
    keep_freed_memory()
    return run("image_update", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())

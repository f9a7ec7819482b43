"""Time one training epoch of an ODE-RNN on plane vibration against the plain loop, in turns.

Examples:
    python benchmarks/sequence.py
    python benchmarks/sequence.py --kind node sonode --gradient direct --windows 512 --root FOLDER

"loop" is the ordinary ODE-RNN (benchmarks/ode_rnn_loop.py): torchdiffeq's dopri5 on one interval
after the other. "ODERNN" is the library's, which carries its step from interval to interval. Both
start from the same parameters and see the same batches of 64 windows with 64 time stamps of 5
values and 8 forecasts, the loss of hbnode.md section 5.3, Adam and clipped gradients; "loss" shows
that they learn the same. NFE are per batch; with direct gradients, backward NFE are products with
the Jacobian. "ratio" is the loop's time over the row's, with the same gradient.

Without --root, windows are drawn: sums of damped oscillations, a tenth of the stamps missing. With
it, the windows of the real data set.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from common import Row, alternate, parser, run
from ode_rnn_loop import Loop
from torch import Tensor, nn

from grandpp.data.sequences import PlaneVibration
from grandpp.data.windows import Windows
from grandpp.experiment.cli import positive_int, resolve_device
from grandpp.sequence import ODERNN, plane_vibration_model

KINDS = ("node", "anode", "sonode", "hbnode", "ghbnode")
BATCH, STAMPS, AHEAD, CHANNELS = 64, 64, 8, 5
START = 0.01  # scale of the parameters, as in the authors' code; without it, states run away


def windows(count: int, root: Path | None) -> Windows:
    """Windows of plane vibration, real or drawn."""
    if root is not None:
        return PlaneVibration(root).train.sample(count).to(torch.float32)
    draw = torch.Generator().manual_seed(0)
    gaps = 1 + (torch.rand(count, STAMPS + AHEAD, generator=draw) < 0.1).float()
    times = gaps.cumsum(1)
    pace, phase = torch.rand(2, count, 1, CHANNELS, generator=draw)
    t = times.unsqueeze(-1)
    values = torch.exp(-0.01 * t) * torch.sin((0.3 + pace) * t + 6.3 * phase)
    return Windows(values[:, :STAMPS], times[:, :STAMPS], times[:, STAMPS:], values[:, STAMPS:])


@dataclass
class Epoch:
    """One epoch of a contestant, always from the same start.

    Args:
        model: Its parameters are copied, not changed.
        data: All windows.
        tolerance: rtol and atol.
        gradient: ``"direct"`` or ``"adjoint"``.
        plain: Whether the plain loop runs.
    """

    model: ODERNN
    data: Windows
    tolerance: float
    gradient: str
    plain: bool
    loss: float = 0.0
    forward: float = 0.0
    backward: float = 0.0

    def __call__(self) -> None:
        """Train; leave the mean loss and the NFE per batch."""
        model = copy.deepcopy(self.model)
        step = self._loop_step if self.plain else self._own_step
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.loss = self.forward = self.backward = 0.0
        batches = range(0, len(self.data), BATCH)
        for first in batches:
            batch = self.data[slice(first, first + BATCH)]
            optimizer.zero_grad()
            forward, backward = step(model, batch)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            self.forward += forward / len(batches)
            self.backward += backward / len(batches)
        self.loss /= len(batches)

    def _loss(
        self, batch: Windows, outputs: Tensor, reconstruction: Tensor, forecast: Tensor
    ) -> Tensor:
        rows = (batch.next_rows, batch.x, batch.targets)
        one_step, initial, ahead = (
            (found - row.transpose(0, 1)).square().mean()
            for found, row in zip((outputs, reconstruction, forecast), rows, strict=True)
        )
        loss = 0.1 * (one_step + initial) + ahead
        self.loss += float(loss.detach())
        return loss

    def _loop_step(self, model: ODERNN, batch: Windows) -> tuple[int, int]:
        loop = Loop(model, self.tolerance, self.gradient == "adjoint")
        found = loop(batch.x.transpose(0, 1), batch.times.T, batch.horizon.T)
        loop.motion.backward_runs = True
        self._loss(batch, *found).backward()
        return loop.motion.forward_nfe, loop.motion.backward_nfe

    def _own_step(self, model: ODERNN, batch: Windows) -> tuple[int, int]:
        out = model(batch.x.transpose(0, 1), batch.times.T, horizon=batch.horizon.T)
        assert out.forecast is not None
        self._loss(batch, out.outputs, out.reconstruction, out.forecast).backward()
        return out.stats.nfe_forward, out.stats.nfe_backward


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append two rows per kind and gradient."""
    device = resolve_device(args.device)
    data = windows(args.windows, args.root)
    data = Windows(*(getattr(data, name).to(device) for name in vars(data)))
    for kind in args.kind:
        for gradient in args.gradient:
            torch.manual_seed(0)
            model = plane_vibration_model(
                kind, rtol=args.tolerance, atol=args.tolerance, gradient=gradient
            ).to(device)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter *= START
            make = partial(Epoch, model, data, args.tolerance, gradient)
            pair = {"loop": make(plain=True), "ODERNN": make(plain=False)}
            seconds = alternate(pair, args.rounds, device)
            reference = statistics.median(seconds["loop"])
            for name, epoch in pair.items():
                took = statistics.median(seconds[name])
                rows.append({
                    "kind": kind, "gradient": gradient, "contestant": name, "windows": len(data),
                    "tolerance": args.tolerance, "seconds": took, "ratio": reference / took,
                    "forward_nfe": epoch.forward, "backward_nfe": epoch.backward,
                    "loss": epoch.loss,
                })  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Return 0, 2 after a user's mistake or missing data, 130 after an interruption."""
    form = parser("sequence.py", __doc__, rounds=3)
    form.add_argument("--kind", nargs="+", default=["hbnode"], choices=KINDS, metavar="KIND",
                      help=f"among {', '.join(KINDS)} (default: hbnode)")  # fmt: skip
    form.add_argument("--gradient", nargs="+", default=["direct", "adjoint"], metavar="GRADIENT",
                      choices=("direct", "adjoint"), help="(default: direct adjoint)")  # fmt: skip
    form.add_argument("--windows", type=positive_int, default=BATCH, metavar="N",
                      help=f"windows of the epoch (default: {BATCH})")  # fmt: skip
    form.add_argument("--tolerance", type=float, default=1e-5, help="(default: 1e-5)")
    args = form.parse_args(argv)
    return run("sequence.py", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())

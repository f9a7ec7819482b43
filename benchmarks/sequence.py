"""Time one training epoch of an ODE-RNN on plane vibration against the plain loop, in turns.

Examples:
    python benchmarks/sequence.py
    python benchmarks/sequence.py --kind node sonode --gradient direct --windows 512 --root FOLDER

"loop" is the ordinary ODE-RNN (benchmarks/ode_rnn_loop.py): torchdiffeq's dopri5 on one interval
after the other. "ODERNN" is the library's, which carries its step from interval to interval. Both
start from the same parameters and are trained by the same task on the same batches of 64 windows
with 64 time stamps of 5 values and 8 forecasts (HBNODE paper, sec. 5.3), in float64; "loss" shows
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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Row, alternate, parser, run
from ode_rnn_loop import Loop

from grandpp.data.sequences import PlaneVibration
from grandpp.data.windows import Windows
from grandpp.sequence import ODERNN, plane_vibration_model
from grandpp.studies.sequences.forecasting import Forecasting
from grandpp.studies.sequences.window_set import Splits
from grandpp.training.command import resolve_device
from grandpp.training.options import positive_int

KINDS = ("node", "anode", "sonode", "hbnode", "ghbnode")
BATCH, STAMPS, AHEAD, CHANNELS = 64, 64, 8, 5
RATE = 3e-3


def windows(count: int | None, root: Path | None) -> Windows:
    """Windows of plane vibration, real or drawn."""
    if root is not None:
        return PlaneVibration(root).train.sample(count)
    draw, count = torch.Generator().manual_seed(0), count or BATCH
    gaps = 1 + (torch.rand(count, STAMPS + AHEAD, generator=draw) < 0.1).float()
    times = gaps.cumsum(1)
    pace, phase = torch.rand(2, count, 1, CHANNELS, generator=draw)
    t = times.unsqueeze(-1)
    values = torch.exp(-0.01 * t) * torch.sin((0.3 + pace) * t + 6.3 * phase)
    drawn = Windows(values[:, :STAMPS], times[:, :STAMPS], times[:, STAMPS:], values[:, STAMPS:])
    return drawn.to(torch.float64)


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
    row: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> None:
        """Train; leave the mean loss and the NFE per batch."""
        model: Any = copy.deepcopy(self.model)
        if self.plain:
            model = Loop(model, self.tolerance, self.gradient == "adjoint")
        task = Forecasting(
            model, Splits(self.data, self.data, self.data), "forecast", batch_size=BATCH, lr=RATE
        )
        self.row = task.train_epoch(lambda: None)


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append two rows per kind and gradient."""
    device = resolve_device(args.device)
    data = windows(args.windows, args.root)
    data = Windows(*(getattr(data, name).to(device) for name in vars(data)))
    for kind in args.kind:
        for gradient in args.gradient:
            torch.manual_seed(0)
            model = plane_vibration_model(
                kind, batch_first=True, rtol=args.tolerance, atol=args.tolerance,
                gradient=gradient,
            ).to(device, torch.float64)  # fmt: skip
            make = partial(Epoch, model, data, args.tolerance, gradient)
            pair = {"loop": make(plain=True), "ODERNN": make(plain=False)}
            seconds = alternate(pair, args.rounds, device)
            reference = statistics.median(seconds["loop"])
            for name, epoch in pair.items():
                took = statistics.median(seconds[name])
                rows.append({
                    "kind": kind, "gradient": gradient, "contestant": name, "windows": len(data),
                    "tolerance": args.tolerance, "seconds": took, "ratio": reference / took,
                    "forward_nfe": epoch.row["nfe_forward"],
                    "backward_nfe": epoch.row["nfe_backward"], "loss": epoch.row["train_loss"],
                })  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Return 0, 2 after a user's mistake or missing data, 130 after an interruption."""
    form = parser("sequence.py", __doc__, rounds=3)
    form.add_argument("--kind", nargs="+", default=["hbnode"], choices=KINDS, metavar="KIND",
                      help=f"among {', '.join(KINDS)} (default: hbnode)")  # fmt: skip
    form.add_argument("--gradient", nargs="+", default=["direct", "adjoint"], metavar="GRADIENT",
                      choices=("direct", "adjoint"), help="(default: direct adjoint)")  # fmt: skip
    form.add_argument("--windows", type=positive_int, metavar="N", help="windows of the epoch "
                      f"(default: all real ones, {BATCH} drawn ones)")  # fmt: skip
    form.add_argument("--tolerance", type=float, default=1e-5, help="(default: 1e-5)")
    args = form.parse_args(argv)
    return run("sequence.py", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())

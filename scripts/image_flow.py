"""Learn the density of images with a continuous normalising flow (FFJORD; thesis section 5.4.2).

Examples:
    python scripts/image_flow.py --samples samples.png --plot training.png
    python scripts/image_flow.py --solver prox_bdf2 --compare-solvers
    python scripts/image_flow.py --dataset mnist --train 2000 --epochs 5 --checkpoint mnist.pt

With --resume an interrupted training goes on from its checkpoint, or a finished one for more
epochs. Bits/dim are those of held-out images; "nfe" are evaluations forward, "products"
vector-Jacobian products backward, of one batch. --compare-solvers puts solvers on one trained
flow: "change" is relative to dopri5 at 1e-7, "inverse" the largest error of images taken back.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from grandpp.data import IMAGE_DATASETS, DatasetError, load_images
from grandpp.experiment.cli import OneLineParser, complain, positive_int, resolve_device
from grandpp.experiment.fitting import Fit, Row, fit
from grandpp.experiment.flows.figures import draw_flow_training, draw_samples
from grandpp.experiment.flows.options import add_flow_solver_options, check_flow_files
from grandpp.experiment.flows.tables import cost_table, training_table
from grandpp.experiment.records import append_record
from grandpp.image import flow as flows
from grandpp.solvers import SolveError

PROGRAM = "image_flow"
DIRECT = {"dense": "direct"}  # what fits into memory; the others take the adjoint
DECIDES = ("dataset", "architecture", "train", "divergence", "solver", "tol", "step_size", "inner",
           "inner_tol", "gradient", "batch_size", "lr", "seed")  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_flow_solver_options(parser)
    add = parser.add_argument
    add("--dataset", choices=IMAGE_DATASETS, default="digits", help="(default: digits)")
    add("--architecture", choices=flows.ARCHITECTURES, help="perceptrons on all pixels, or "
        "convolutions at several scales (default: dense for digits, else multiscale)")  # fmt: skip
    add("--divergence", choices=flows.DIVERGENCES, default="rademacher", help="of the trace")
    add("--epochs", type=positive_int, default=60, help="(default: 60)")
    add("--train", type=positive_int, metavar="N", help="first N images alone (default: all)")
    add("--batch-size", type=positive_int, default=100, help="(default: 100)")
    add("--lr", type=float, default=0.005, help="of the first epoch; 3 %% less each "
        "(default: 0.005)")  # fmt: skip
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add("--device", default="cpu", choices=("auto", "cpu", "cuda"), help="(default: cpu)")
    add("--root", type=Path, metavar="DIR", help="folder of raw data files, looked in first")
    add("--describe", action="store_true", help="print the layers as JSON and end")
    add("--checkpoint", type=Path, metavar="FILE", help="written after every epoch, over an "
        "older one unless --resume is given")  # fmt: skip
    add("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    add("--compare-solvers", action="store_true", help="solvers on the trained flow")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one line with everything measured")
    add("--plot", type=Path, metavar="FILE", help="picture of loss and evaluations")
    add("--samples", type=Path, metavar="FILE", help="picture of samples of the trained flow")
    add("--json", action="store_true", help="print that line; tables go to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """What decides the result of a training."""
    return {name: getattr(args, name) for name in DECIDES}


def train(args: argparse.Namespace, done: Fit) -> tuple[flows.FlowTask, str]:
    """Train; ``done`` has the rows of finished epochs after an interruption too."""
    device = resolve_device(args.device)
    solver = flows.flow_solver(args.solver, tol=args.tol, step_size=args.step_size,
        inner=args.inner, inner_tol=args.inner_tol, gradient=args.gradient)  # fmt: skip
    split = load_images(args.dataset, args.root, seed=args.seed, progress=not args.quiet)
    split = split.subset(train=args.train)
    flow = flows.image_flow(args.dataset, args.architecture, divergence=args.divergence,
        solver=solver, seed=args.seed).to(device)  # fmt: skip
    task = flows.FlowTask(flow, split.train_images.to(device), split.test_images.to(device),
        lr=args.lr, batch_size=args.batch_size, seed=args.seed)  # fmt: skip
    batches = -(-len(task.train) // args.batch_size)
    with tqdm(total=batches * args.epochs, desc=args.dataset, disable=args.quiet) as bar:

        def on_epoch(row: Row) -> None:
            bar.set_postfix(bits_per_dim=f"{row['bits_per_dim']:.3f}", refresh=False)
            bar.update(int(row["epoch"]) * batches - bar.n)  # a resumed bar starts late

        def on_batch() -> None:
            bar.update()

        fit(task, args.epochs, chosen(args), checkpoint=args.checkpoint,
            resume=args.resume, done=done, on_epoch=on_epoch, on_batch=on_batch)  # fmt: skip
    return task, split.note


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    done, code = Fit(), 0
    costs: list[dict[str, Any]] = []
    try:
        if args.describe:
            print(json.dumps(flows.describe_flow(args.dataset, args.architecture)))
            return 0
        check_flow_files(args)
        args.architecture = args.architecture or flows.IMAGE_FLOWS[args.dataset].architecture
        args.gradient = args.gradient or DIRECT.get(args.architecture, "adjoint")
        task, note = train(args, done)
        if args.samples and done.status == "success":
            images = task.flow.sample(48, torch.Generator().manual_seed(args.seed))
            draw_samples(images, task.test, f"samples, {args.dataset}", args.samples)
        if args.compare_solvers and done.status == "success":
            solvers = flows.reference_solvers(
                args.step_size, args.inner, args.inner_tol, args.gradient
            )
            batch = task.test[: args.batch_size]
            costs = [asdict(cost) for cost in flows.compare_solvers(task.flow, batch, solvers)]
        record = {**chosen(args), "images": note, **asdict(done), "solvers": costs}
        if args.out:
            append_record(args.out, record)
        if args.json:
            print(json.dumps(record), flush=True)
        if done.status != "success":
            code = complain(PROGRAM, done.status)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(done.history)} finished epochs follow\n")
        code = 130
    except (ValueError, TypeError, ImportError, DatasetError, SolveError, OSError) as error:
        code = complain(PROGRAM, error)
    if done.history:
        text = training_table(done.history) + ("\n\n" + cost_table(costs) if costs else "")
        print(text, file=sys.stderr if args.json else sys.stdout)
        if args.plot:
            draw_flow_training(done.history, f"{args.dataset}, {args.solver}", args.plot)
    return code


if __name__ == "__main__":
    sys.exit(main())

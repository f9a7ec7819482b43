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
from typing import Any

import torch
from tqdm import tqdm

from grandpp.data import IMAGE_DATASETS, DatasetError, load_images
from grandpp.image import flow as flows
from grandpp.solvers import SolveError
from grandpp.studies.flows.costs import compare_solvers
from grandpp.studies.flows.figures import draw_flow_training, draw_samples
from grandpp.studies.flows.options import check_flow_files, flow_parser
from grandpp.studies.flows.runs import flow_record, flow_settings
from grandpp.studies.flows.solver_choice import flow_solver, reference_solvers
from grandpp.studies.flows.tables import cost_table, training_table
from grandpp.studies.flows.training import FlowTask
from grandpp.training.checkpointed_training import Fit, Row, fit
from grandpp.training.cli import complain, resolve_device
from grandpp.training.json_lines import to_json
from grandpp.training.record_file import append_record

PROGRAM = "image_flow"
DIRECT = {"dense": "direct"}  # what fits into memory; the others take the adjoint


def prepare(args: argparse.Namespace) -> tuple[FlowTask, str]:
    """A flow with its images, and where these come from."""
    args.device = device = resolve_device(args.device)
    solver = flow_solver(args.solver, tol=args.tol, step_size=args.step_size,
        inner=args.inner, inner_tol=args.inner_tol, gradient=args.gradient)  # fmt: skip
    split = load_images(args.dataset, args.root, seed=args.seed, progress=not args.quiet)
    split = split.subset(args.train, args.test)
    flow = flows.image_flow(args.dataset, args.architecture, divergence=args.divergence,
        solver=solver, seed=args.seed).to(device)  # fmt: skip
    task = FlowTask(flow, split.train_images.to(device), split.test_images.to(device),
        lr=args.lr, batch_size=args.batch_size, seed=args.seed)  # fmt: skip
    return task, split.note


def train(args: argparse.Namespace, task: FlowTask, done: Fit) -> None:
    """Train; ``done`` has the rows of finished epochs after an interruption too."""
    batches = -(-len(task.train) // args.batch_size)
    with tqdm(total=batches * args.epochs, desc=args.dataset, disable=args.quiet) as bar:

        def on_epoch(row: Row) -> None:
            bar.set_postfix(bits_per_dim=f"{row['bits_per_dim']:.3f}", refresh=False)
            bar.update(int(row["epoch"]) * batches - bar.n)  # a resumed bar starts late

        def on_batch() -> None:
            bar.update()

        fit(task, args.epochs, flow_settings(args), checkpoint=args.checkpoint,
            resume=args.resume, done=done, on_epoch=on_epoch, on_batch=on_batch)  # fmt: skip


def look_at(args: argparse.Namespace, task: FlowTask, costs: list[dict[str, Any]]) -> None:
    """Draw from the trained flow, and put other solvers on it."""
    if args.samples:
        images = task.flow.sample(48, torch.Generator().manual_seed(args.seed))
        draw_samples(images, task.test, f"samples, {args.dataset}", args.samples)
    if args.compare_solvers:
        solvers = reference_solvers(args.step_size, args.inner, args.inner_tol, args.gradient)
        batch = task.test[: args.batch_size]
        costs += [asdict(cost) for cost in compare_solvers(task.flow, batch, solvers)]


def keep(args: argparse.Namespace, done: Fit, note: str, costs: list[dict[str, Any]]) -> None:
    """Write what was done, however it ended."""
    record = flow_record(args, done, note, costs)
    if args.out:
        append_record(args.out, record)
    if args.json:
        print(to_json(record), flush=True)
    text = training_table(done.history) + ("\n\n" + cost_table(costs) if costs else "")
    print(text, file=sys.stderr if args.json else sys.stdout)
    if args.plot:
        draw_flow_training(done.history, f"{args.dataset}, {args.solver}", args.plot)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = flow_parser(
        PROGRAM, __doc__, IMAGE_DATASETS, flows.ARCHITECTURES, flows.DIVERGENCES
    ).parse_args(argv)
    done, code, note = Fit(), 0, ""
    costs: list[dict[str, Any]] = []
    try:
        if args.describe:
            print(json.dumps(flows.describe_flow(args.dataset, args.architecture)))
            return 0
        check_flow_files(args)
        args.architecture = args.architecture or flows.IMAGE_FLOWS[args.dataset].architecture
        args.gradient = args.gradient or DIRECT.get(args.architecture, "adjoint")
        task, note = prepare(args)
        train(args, task, done)
        if done.status == "success":
            look_at(args, task, costs)
        else:
            code = complain(PROGRAM, done.status)
    except KeyboardInterrupt:
        if len(done.history) < args.epochs:
            done.status = "interrupted"
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(done.history)} finished epochs follow\n")
        code = 130
    except (ValueError, TypeError, ImportError, DatasetError, SolveError, OSError) as error:
        code = complain(PROGRAM, error)
    if done.history or done.status not in ("success", "interrupted"):
        keep(args, done, note, costs)
    return code


if __name__ == "__main__":
    sys.exit(main())

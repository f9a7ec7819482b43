"""The command that trains flows of images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from grandpp.data import load_images
from grandpp.image import flow as flows
from grandpp.studies.flows.costs import compare_solvers
from grandpp.studies.flows.report import (
    cost_table,
    draw_flow_training,
    draw_samples,
    training_table,
)
from grandpp.studies.flows.settings import FLOW_RECORDS, FlowSettings, flow_record
from grandpp.studies.flows.training import FlowTask
from grandpp.training.atomic_files import check_target
from grandpp.training.checkpointed_training import Fit, Row, fit
from grandpp.training.command import Command, Console, resolve_device
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    CheckpointOptions,
    DataOptions,
    DescribeOptions,
    DeviceOptions,
    HeldOutImageOptions,
    PlotOptions,
    RecordOptions,
    ReportOptions,
    option,
    positive_int,
)
from grandpp.training.record_file import append_record, read_file

ABOUT = """\
Learn the density of images with a continuous normalising flow (FFJORD; thesis section 5.4.2).

Examples:
    grandpp flow --samples samples.png --plot training.png
    grandpp flow --solver prox_bdf2 --compare-solvers
    grandpp flow --dataset mnist --train 2000 --epochs 5 --checkpoint mnist.pt

With --resume an interrupted training continues from its checkpoint, or a finished one for more
epochs. Bits/dim are those of held-out images; "nfe" are evaluations forward, "products"
vector-Jacobian products backward, of one batch. --compare-solvers measures solvers on one trained
flow: "change" is relative to dopri5 at 1e-7, "inverse" the largest error of images reconstructed
from their latents. --out appends one record per call, also of a training that was continued for
more epochs.
"""


@dataclass(frozen=True, kw_only=True)
class FlowOptions(
    ReportOptions,
    DescribeOptions,
    PlotOptions,
    DataOptions,
    DeviceOptions,
    CheckpointOptions,
    RecordOptions,
    HeldOutImageOptions,
    FlowSettings,
):
    """Options of the command."""

    epochs: int = option(
        "epochs in all, those of a checkpoint included",
        default=60,
        parse=positive_int,
        metavar="N",
    )
    samples: Path | None = option(
        "save a picture of samples of the trained flow", default=None, metavar="FILE"
    )
    compare_solvers: bool = option("compare solvers on the trained flow", default=False)


def run(options: FlowOptions, console: Console) -> int:
    """Train a flow, or describe it."""
    if options.describe:
        console.answer(flows.describe_flow(options.dataset, options.architecture))
        return 0
    _check_files(options)
    settings, device = options.settings(), resolve_device(options.device)
    done, note = Fit(), ""
    costs: list[dict[str, Any]] = []
    console.kept = lambda: f"{len(done.history)} finished epochs are {options.where}"
    try:
        task, note = _prepare(options, settings, device, console)
        _train(options, settings, task, done, console)
        if done.status == "success":
            _inspect(options, settings, task, costs)
    except KeyboardInterrupt:
        if len(done.history) < options.epochs:
            done.status = "interrupted"
        raise
    finally:
        if done.history or done.status not in ("success", "interrupted"):
            record = flow_record(settings, done, note, str(device), costs)
            if options.out:
                append_record(options.out, record)
            console.emit(record)
            tables = training_table(done.history)
            console.show(f"{tables}\n\n{cost_table(costs)}" if costs else tables)
            if options.plot:
                title = f"{options.dataset}, {options.solver}"
                draw_flow_training(done.history, title, options.plot)
    return 0 if done.status == "success" else console.complain(done.status)


def _check_files(options: FlowOptions) -> None:
    """Raise an error for files that cannot be written, before the work."""
    for picture in filter(None, (options.plot, options.samples)):
        check_picture(picture)
    if options.out is not None:
        check_target(options.out)
        read_file(options.out, FLOW_RECORDS)


def _prepare(
    options: FlowOptions, settings: FlowSettings, device: torch.device, console: Console
) -> tuple[FlowTask, str]:
    """Return a flow, its images, and their origin in words."""
    flow = settings.build().to(device)
    split = load_images(
        settings.dataset, options.root, seed=settings.seed, progress=not console.quiet
    )
    if split.partial:
        console.notice(f"{split.name}: {split.note}")
    split = split.subset(settings.train, options.test)
    task = FlowTask(flow, split.train_images.to(device), split.test_images.to(device),
        lr=settings.lr, batch_size=settings.batch_size, seed=settings.seed)  # fmt: skip
    return task, split.note


def _train(
    options: FlowOptions, settings: FlowSettings, task: FlowTask, done: Fit, console: Console
) -> None:
    """Train; ``done`` has the rows of finished epochs after an interruption too."""
    batches = -(-len(task.train) // settings.batch_size)
    total = batches * options.epochs
    with tqdm(total=total, desc=settings.dataset, disable=console.quiet) as bar:

        def on_epoch(row: Row) -> None:
            bar.set_postfix(bits_per_dim=f"{row['bits_per_dim']:.3f}", refresh=False)
            bar.update(int(row["epoch"]) * batches - bar.n)  # a resumed bar starts late

        def on_batch() -> None:
            bar.update()

        fit(task, options.epochs, asdict(settings), checkpoint=options.checkpoint,
            resume=options.resume, done=done, on_epoch=on_epoch, on_batch=on_batch)  # fmt: skip


def _inspect(
    options: FlowOptions, settings: FlowSettings, task: FlowTask, costs: list[dict[str, Any]]
) -> None:
    """Sample the trained flow, and measure other solvers on it."""
    if options.samples:
        images = task.flow.sample(48, torch.Generator().manual_seed(settings.seed))
        draw_samples(images, task.test, f"samples, {settings.dataset}", options.samples)
    if options.compare_solvers:
        batch = task.test[: settings.batch_size]
        costs += [
            asdict(cost) for cost in compare_solvers(task.flow, batch, settings.reference_solvers())
        ]


COMMAND = Command("flow", ABOUT, FlowOptions, run)

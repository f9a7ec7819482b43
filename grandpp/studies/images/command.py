"""The command that trains image classifiers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from grandpp.data import ImageSplit, load_images
from grandpp.image import IMAGE_MODELS, IMAGE_SHAPES, describe_classifier, image_classifier
from grandpp.solvers import SolveError
from grandpp.studies.images.classification import ImageClassification, nfe_at_tolerance
from grandpp.studies.images.report import (
    draw_tolerances,
    draw_training,
    image_table,
    tolerance_table,
)
from grandpp.studies.images.runs import (
    IMAGE_RECORDS,
    check_folder,
    check_images,
    image_record,
    train_images,
)
from grandpp.studies.images.settings import IMAGE_DEFAULTS, ImageConfig, ImageSettings
from grandpp.training.command import Command, Console, resolve_device
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    CheckpointOptions,
    DataOptions,
    DescribeOptions,
    DeviceOptions,
    PlotOptions,
    RecordOptions,
    ReportOptions,
    SeedOptions,
    option,
)
from grandpp.training.record_file import Record, RecordFile

ABOUT = """\
Classify images with neural ODEs of first and second order.

Examples:
    grandpp image
    grandpp image --dataset mnist --describe
    grandpp image --dataset mnist --tol 1e-3 --train 1000 --test 500 --batch-size 32 --epochs 3 \\
        --runs 3 --out runs.jsonl --plot training.png
    grandpp image --dataset cifar10 --augment --device cuda --amp --tol 1e-3 \\
        --checkpoint checkpoints --resume --tolerances 1e-3 1e-4 1e-5 1e-6 --plot-tolerances t.png

Run a command with --out again after an interruption: runs already in the file are not repeated.
--checkpoint is a folder with one file per run.

Columns: "nfe" counts evaluations of the field per batch of training, forward and backward, as mean
over all epochs, and "last" those of the last epoch; "efficacy" is the test accuracy in percent
divided by the sum of forward and backward evaluations in the last epoch; "+-" is the standard error
of a mean over several runs. With --tolerances a second table counts the evaluations of the trained
models on test images.
"""


@dataclass(frozen=True, kw_only=True)
class ImageOptions(
    ReportOptions,
    DescribeOptions,
    PlotOptions,
    DataOptions,
    DeviceOptions,
    CheckpointOptions,
    RecordOptions,
    SeedOptions,
    ImageSettings,
):
    """Options of the command."""

    models: tuple[str, ...] = option(
        "classifiers, one or more of {choices}",
        flag="--model",
        choices=IMAGE_MODELS["mnist"],
        default=(),
        metavar="NAME",
        shown_default=f"all; on digits {', '.join(IMAGE_DEFAULTS['digits'].models)}",
    )
    plot_tolerances: Path | None = option(
        "plot the evaluations at --tolerances", default=None, metavar="FILE"
    )


def run(options: ImageOptions, console: Console) -> int:
    """Train the models, or describe them."""
    if options.describe:
        models = dict.fromkeys(options.models or IMAGE_MODELS[options.dataset])
        shown = {model: describe_classifier(options.dataset, model) for model in models}
        console.answer(next(iter(shown.values())) if len(shown) == 1 else shown)
        return 0
    for picture in filter(None, (options.plot, options.plot_tolerances)):
        check_picture(picture)
    found: list[Record] = []
    console.kept = lambda: f"{len(found)} finished runs are {options.where}"
    try:
        _run_all(options, console, found)
    finally:
        if found:
            _report(options, console, found)
    return 0


def _run_all(options: ImageOptions, console: Console, found: list[Record]) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    file = RecordFile(options.out, IMAGE_RECORDS)
    check_folder(options.checkpoint)
    split: ImageSplit | None = None
    for config in options.configs(options.models, options.seeds):
        record = file.find(asdict(config))
        if record is None:
            if split is None:
                split = _load(options, console)
                check_images(file.records.values(), config, split.note)
            record = _run_one(options, console, config, split, file)
            file.add(record)
        if record["status"] != "success":
            console.notice(f"{config.name}: {record['status']}")
        found.append(record)
        console.emit(record)


def _load(options: ImageOptions, console: Console) -> ImageSplit:
    split = load_images(options.dataset, options.root, progress=not console.quiet)
    if split.partial:
        console.notice(f"{split.name}: {split.note}")
    split = split.subset(options.train, options.test)
    if split.image_shape != IMAGE_SHAPES[options.dataset]:
        raise ValueError(
            f"expected images {IMAGE_SHAPES[options.dataset]} (got {split.image_shape})"
        )
    return split


def _run_one(
    options: ImageOptions,
    console: Console,
    config: ImageConfig,
    split: ImageSplit,
    file: RecordFile,
) -> Record:
    """Train one model, then count its evaluations."""
    device = resolve_device(options.device)
    model = image_classifier(
        config.dataset, config.model, seed=config.seed, tolerance=config.tolerance,
        solver=config.solver, amp=config.amp,
    ).to(device)  # fmt: skip
    train = (split.train_images, split.train_labels)
    test = (split.test_images, split.test_labels)
    task = ImageClassification(
        model, train, test, lr=config.lr, batch_size=config.batch_size, seed=config.seed,
        **config.augmentation,
    )  # fmt: skip
    done = train_images(
        config, task, batches=task.batches, images=split.note, checkpoints=options.checkpoint,
        resume=options.resume, show=not console.quiet,
    )  # fmt: skip
    parameters = sum(p.numel() for p in model.parameters())
    rows: list[dict[str, float]] = []
    few = [part[: config.tolerance_images] for part in test]

    def record(config: ImageConfig) -> Record:
        return image_record(config, done, images=split.note, parameters=parameters,
                            device=str(device), by_tolerance=rows)  # fmt: skip

    try:
        for tolerance in config.tolerances if done.status == "success" else ():
            try:
                rows.append(nfe_at_tolerance(model, few[0], few[1], tolerance, config.batch_size))
            except SolveError as error:
                console.notice(f"{config.name} at tolerance {tolerance:g}: {error}")
    except KeyboardInterrupt:  # what was trained is kept, as a run of the tolerances done
        counted = tuple(row["tolerance"] for row in rows)
        file.add(record(replace(config, tolerances=counted)))
        raise
    return record(config)


def _report(options: ImageOptions, console: Console, found: list[Record]) -> None:
    tables = [text for text in (image_table(found), tolerance_table(found)) if text]
    console.show("\n\n".join(tables))
    if options.plot:
        draw_training(found, options.plot)
    if options.plot_tolerances:
        draw_tolerances(found, options.plot_tolerances)


COMMAND = Command("image", ABOUT, ImageOptions, run)

"""Classify images with neural ODEs of first and second order.

Examples:
    python scripts/image_classify.py
    python scripts/image_classify.py --dataset mnist --describe
    python scripts/image_classify.py --dataset mnist --tol 1e-3 --train 1000 --test 500 \\
        --batch-size 32 --epochs 3 --runs 3 --out runs.jsonl --plot training.png
    python scripts/image_classify.py --dataset cifar10 --augment --device cuda --amp --tol 1e-3 \\
        --checkpoint checkpoints --resume --tolerances 1e-3 1e-4 1e-5 1e-6 --plot-tolerances t.png

Run a command with --out again after an interruption: runs already in the file are not repeated.
Columns: "nfe" counts evaluations of the field per batch of training, the mean over all epochs, and
"last" those of the last epoch; "efficacy" is the test accuracy in percent by the sum of both in the
last epoch. With --tolerances a second table counts those of the trained models on test images.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace

from grandpp.data import DatasetError, ImageSplit, load_images
from grandpp.image import IMAGE_MODELS, IMAGE_SHAPES, describe_classifier, image_classifier
from grandpp.solvers import SolveError
from grandpp.studies.images.classification import ImageClassification, nfe_at_tolerance
from grandpp.studies.images.figures import draw_tolerances, draw_training
from grandpp.studies.images.options import image_parser, parsed_configs
from grandpp.studies.images.runs import (
    IMAGE_KEY,
    ImageConfig,
    ImageRecord,
    check_images,
    image_record,
    read_image_records,
)
from grandpp.studies.images.tables import image_table, tolerance_table
from grandpp.studies.images.training import check_folder, train_images
from grandpp.training.cli import complain, resolve_device
from grandpp.training.figures import check_picture
from grandpp.training.json_lines import to_json
from grandpp.training.record_file import append_record
from grandpp.training.run_lines import key_of

PROGRAM = "image_classify"


def run(config: ImageConfig, split: ImageSplit, args: argparse.Namespace) -> ImageRecord:
    """Train one model, then count its evaluations."""
    device = resolve_device(args.device)
    model = image_classifier(
        config.dataset, config.model, seed=config.seed, tolerance=config.tolerance, amp=config.amp
    ).to(device)
    train = (split.train_images, split.train_labels)
    test = (split.test_images, split.test_labels)
    task = ImageClassification(
        model, train, test, lr=config.lr, batch_size=config.batch_size, seed=config.seed,
        **config.augmentation,
    )  # fmt: skip
    done = train_images(
        config, task, batches=task.batches, images=split.note, checkpoints=args.checkpoint,
        resume=args.resume, show=not args.quiet,
    )  # fmt: skip
    parameters = sum(p.numel() for p in model.parameters())
    rows: list[dict[str, float]] = []
    few = [part[: config.tolerance_images] for part in test]

    def record(config: ImageConfig) -> ImageRecord:
        return image_record(config, done, images=split.note, parameters=parameters,
                            device=str(device), by_tolerance=rows)  # fmt: skip

    try:
        for tolerance in config.tolerances if done.status == "success" else ():
            try:
                rows.append(nfe_at_tolerance(model, few[0], few[1], tolerance, config.batch_size))
            except SolveError as error:
                sys.stderr.write(f"{PROGRAM}: {config.name} at tolerance {tolerance:g}: {error}\n")
    except KeyboardInterrupt:
        if args.out is not None:  # what was trained is kept, as a run of the tolerances done
            counted = tuple(row["tolerance"] for row in rows)
            append_record(args.out, record(replace(config, tolerances=counted)))
        raise
    return record(config)


def run_all(args: argparse.Namespace, found: list[ImageRecord]) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    known = read_image_records(args.out)
    check_folder(args.checkpoint)
    split: ImageSplit | None = None
    for config in parsed_configs(args):
        key = key_of(asdict(config), IMAGE_KEY)
        if key not in known:
            if split is None:
                split = load_images(args.dataset, args.root, progress=not args.quiet)
                split = split.subset(args.train, args.test)
                if split.image_shape != IMAGE_SHAPES[args.dataset]:
                    raise ValueError(
                        f"expected images {IMAGE_SHAPES[args.dataset]} (got {split.image_shape})"
                    )
                check_images(known.values(), config, split.note)
            known[key] = run(config, split, args)
            if args.out is not None:
                append_record(args.out, known[key])
        if known[key]["status"] != "success":
            sys.stderr.write(f"{PROGRAM}: notice: {config.name}: {known[key]['status']}\n")
        found.append(known[key])
        if args.json:
            print(to_json(known[key]), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = image_parser(PROGRAM, __doc__, IMAGE_MODELS["mnist"]).parse_args(argv)
    found: list[ImageRecord] = []
    code = 0
    try:
        if args.describe:
            models = dict.fromkeys(args.models or IMAGE_MODELS[args.dataset])
            shown = {model: describe_classifier(args.dataset, model) for model in models}
            print(json.dumps(next(iter(shown.values())) if len(shown) == 1 else shown))
            return 0
        if args.resume and args.checkpoint is None:
            raise ValueError("expected --checkpoint beside --resume")
        for picture in filter(None, (args.plot, args.plot_tolerances)):
            check_picture(picture)
        run_all(args, found)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(found)} finished runs follow\n")
        code = 130
    except (DatasetError, ImportError, ValueError, OSError) as error:
        code = complain(PROGRAM, error)
    if found:
        tables = [text for text in (image_table(found), tolerance_table(found)) if text]
        print("\n\n".join(tables), file=sys.stderr if args.json else sys.stdout)
        if args.plot:
            draw_training(found, args.plot)
        if args.plot_tolerances:
            draw_tolerances(found, args.plot_tolerances)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""The command ``grandpp label``: from a graph and a few labels to a label for every node."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.estimator.classifier import NodeClassifier
from grandpp.estimator.evaluation import Evaluation, evaluate, hold_out
from grandpp.estimator.figures import draw_map, draw_reliability
from grandpp.estimator.labels import places, read_labels
from grandpp.estimator.options import GraphOptions, ModelOptions, check_files, share
from grandpp.estimator.predictions import prediction_table, write_predictions
from grandpp.estimator.report import Stages, in_words, label_report
from grandpp.training.atomic_files import write_whole
from grandpp.training.command import Command, Console
from grandpp.training.loggers import Logger, LogOptions, RunLog
from grandpp.training.options import option
from grandpp.training.settings import Run

ABOUT = """Classify the nodes of your own graph from a few labelled nodes.

Examples:
    grandpp label --edges edges.csv --features features.csv --labels labels.csv \\
        --out predictions.csv --plot map.png
    grandpp label --edges edges.csv --labels labels.csv --evaluate 0.2 \\
        --plot-reliability reliability.png
    grandpp label --edges graph.npz --out predictions.csv --ensemble 5 --save model.pt
    grandpp label --edges graph.npz --out predictions.csv --log tensorboard:logs

The table has one row per node: node, label, confidence, given (1 for a given label, which is kept),
component_labelled (0 if no labelled node is connected to the node, so that its label depends on
features alone) and the probability of each class. Confidence is the probability of the label. It is
calibrated on labelled nodes that are held out in turn, which trains up to five more models;
--no-calibration skips this. From 20 labels per class on the probabilities are also adjusted to the
shares of the classes among all nodes, which are estimated; --no-estimate-shares skips that. With
--evaluate, a model is first trained without a share of the labelled nodes and tested on them; the
predictions come from a model trained on all labelled nodes. The numbers are those for nodes drawn
as the labelled ones were: if you labelled as many of every class, large classes count too little.
--log follows only the models that the predictions come from; each member of an ensemble is a run.
"""


@dataclass(frozen=True, kw_only=True)
class LabelOptions(GraphOptions, ModelOptions, LogOptions):
    """Options of ``grandpp label``."""

    out: Path | None = option("write the predictions", default=None, metavar="FILE.csv")
    evaluate: float | None = option(
        "hold out this share of the labelled nodes of each class and report accuracy, macro-F1, "
        "log-loss and calibration error on them",
        default=None,
        parse=share,
        metavar="SHARE",
    )
    validation: float | None = option(
        "use this share of the labelled nodes to choose the epoch, not to train",
        default=None,
        parse=share,
        metavar="SHARE",
    )
    no_calibration: bool = option("report the softmax without calibration", default=False)
    estimate_shares: bool | None = option(
        "adjust the probabilities to the shares of the classes among the nodes, which are "
        "estimated from them; of use where the labels given do not have these shares, for one "
        "where as many of every class were labelled",
        default=None,
        negatable=True,
        shown_default="yes for the default model from 20 labels per class on, else no",
    )
    cluster_pool: float | None = option(
        "pool the predictions with the probabilities of the clusters that the model trains on, "
        "which count W times",
        default=None,
        metavar="W",
        shown_default="what the model does",
    )
    plot: Path | None = option(
        "draw a map of the nodes, by class and confidence", default=None, metavar="FILE"
    )
    plot_reliability: Path | None = option(
        "with --evaluate, draw confidence against accuracy", default=None, metavar="FILE"
    )
    save: Path | None = option(
        "save the model, for grandpp predict", default=None, metavar="FILE.pt"
    )


def run(options: LabelOptions, console: Console) -> int:
    """Read the graph, fit, predict, write."""
    pictures = (options.plot, options.plot_reliability)
    check_files((options.save,), pictures, options.inputs, tables=(options.out,))
    if options.plot_reliability is not None and options.evaluate is None:
        raise ValueError("expected --evaluate with --plot-reliability (got none)")
    times = Stages()
    with times.stage("reading"):
        data = options.read()
        console.show("\n".join(data.summary.lines()))
    if not data.summary.num_labelled:
        raise ValueError("expected --labels, or labels in the file of the graph (got neither)")
    measured = None
    if options.evaluate is not None:
        with times.stage("evaluating"):
            measured = _measure(options, data, console)
    with times.stage("fitting"):
        logger = None if options.log is None else _Named(options.log, options.edges.stem)
        classifier = _fit(options, data, "fitting", console, logger)
    with times.stage("writing"):
        _write(options, data, classifier, measured)
    report = label_report(data, classifier, measured, times.seconds)
    files = (options.out, options.save, *pictures)
    report["written"] = [str(path) for path in files if path is not None]
    console.emit(report)
    console.show("\n".join(in_words(report)))
    return 0


@dataclass(frozen=True)
class _Named:
    """A logger that gets runs with the name of the graph, which settings for any graph lack."""

    logger: Logger
    name: str

    def begin(self, run: Run) -> RunLog:
        return self.logger.begin(replace(run, dataset=self.name))


def _classifier(options: LabelOptions) -> NodeClassifier:
    return NodeClassifier(
        options.model,
        seed=options.seed,
        ensemble=options.ensemble,
        validation=options.validation,
        epochs=options.epochs,
        calibration="none" if options.no_calibration else "auto",
        estimate_shares=options.estimate_shares,
        cluster_pool=options.cluster_pool,
        device=options.device,
    )


def _fit(
    options: LabelOptions, data: Data, what: str, console: Console, logger: Logger | None = None
) -> NodeClassifier:
    classifier = _classifier(options)
    with tqdm(unit="epoch", desc=what, disable=console.quiet, file=sys.stderr) as bar:

        def advance(total: int) -> None:
            bar.total = total
            bar.update()

        return classifier.fit(data, on_epoch=advance, logger=logger)


def _measure(options: LabelOptions, data: Data, console: Console) -> Evaluation:
    """Fit without a share of the labels and measure on these."""
    labels = read_labels(data)
    held = hold_out(labels, float(options.evaluate or 0), options.seed)
    part = copy.copy(data)
    part.train_mask = torch.from_numpy((labels.codes >= 0) & ~held)
    # As the classifier of all labels does, though fewer labels are left here.
    planned = _classifier(options).planned_run(data).settings
    adjusts = bool(getattr(planned, "estimate_shares", False))
    classifier = _fit(replace(options, estimate_shares=adjusts), part, "evaluating", console)
    right = places(labels.classes[labels.codes[held]], classifier.classes_)
    return evaluate(classifier.predict_proba()[held], right)


def _write(
    options: LabelOptions, data: Data, classifier: NodeClassifier, measured: Evaluation | None
) -> None:
    """Write what was asked for; pictures are drawn before the first file is written."""
    proba, given = classifier.predict_proba(), classifier.given_ >= 0
    pictures: dict[Path, bytes] = {}
    if options.plot is not None:
        names = [str(name) for name in classifier.classes_]
        label, confidence = proba.argmax(axis=1), proba.max(axis=1)
        ending = options.plot.suffix
        pictures[options.plot] = draw_map(
            data, label, names, confidence, given, ending, options.seed
        )
    if options.plot_reliability is not None and measured is not None:
        ending = options.plot_reliability.suffix
        pictures[options.plot_reliability] = draw_reliability(measured.reliability, ending)
    if options.out is not None:
        table = prediction_table(data, classifier.classes_, proba, given)
        write_predictions(table, options.out)
    if options.save is not None:
        classifier.save(options.save)
    for path, content in pictures.items():
        write_whole(path, content)


COMMAND = Command("label", ABOUT, LabelOptions, run)

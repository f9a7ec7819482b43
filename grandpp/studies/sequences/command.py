"""The command that trains ODE-RNNs on time series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from grandpp.data import SequenceData, load_sequences
from grandpp.layers import KINDS, describe_module
from grandpp.sequence import ODERNN
from grandpp.solvers import SolveError, resolve_solver
from grandpp.studies.sequences.forecasting import Forecasting
from grandpp.studies.sequences.inspection import forecast_curve, probe_adjoint
from grandpp.studies.sequences.recipes import RECIPES
from grandpp.studies.sequences.report import draw_sequence_runs, summary_table
from grandpp.studies.sequences.settings import (
    SEQUENCE_RECORDS,
    SequenceConfig,
    SequenceSettings,
    make_run,
)
from grandpp.studies.sequences.window_set import Splits
from grandpp.training.checkpointed_training import Fit, fit
from grandpp.training.command import Command, Console
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    CheckpointOptions,
    DataOptions,
    DescribeOptions,
    PlotOptions,
    RecordOptions,
    ReportOptions,
    SeedOptions,
    option,
)
from grandpp.training.record_file import Record, RecordFile

ABOUT = """\
Forecast irregular time series with ODE-RNNs: the plane, the walker, or coupled oscillators.

Examples:
    grandpp sequence
    grandpp sequence --dataset plane-vibration --model hbnode --describe
    grandpp sequence --dataset walker2d --model node hbnode --runs 3 --windows 1024 --epochs 5 \\
        --out walker.jsonl --plot walker.png

After an interruption run the command again: runs already in the file are not repeated. With
--checkpoint and --resume a run continues after its last finished epoch, with the same result. With
several runs, the model and the seed are inserted before the suffix of the checkpoint's name.

Columns: losses are mean squared errors (of the forecast rows, for walker2d of the next rows) after
the last epoch; "test at best" is the test loss at the epoch of smallest validation loss. "nfe" are
evaluations of one batch, all intervals together, the mean over epochs; "adjoint forward" and
"backward" are those of one adjoint solve after the last epoch (with --solver exact, of tsit5), and
"first/last" is the norm of the adjoint state at the first observation over that at the last.
"""

MAX_NFE = 2000


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(
    ReportOptions,
    DescribeOptions,
    PlotOptions,
    DataOptions,
    CheckpointOptions,
    RecordOptions,
    SeedOptions,
    SequenceSettings,
):
    """Options of the command."""

    models: tuple[str, ...] = option(
        "equations of the ODE-RNN, one or more of {choices}",
        flag="--model",
        choices=tuple(KINDS),
        default=tuple(KINDS)[:5],
        metavar="NAME",
    )


def run(options: SequenceOptions, console: Console) -> int:
    """Train the models, or describe them."""
    configs = options.configs(options.models, options.seeds)
    if options.describe:
        shown = {c.model: {"model": c.model, **describe_module(build_model(c))} for c in configs}
        console.answer(shown if len(shown) > 1 else next(iter(shown.values())))
        return 0
    if options.plot:
        check_picture(options.plot)
    found: list[Record] = []
    console.kept = lambda: f"{len(found)} finished runs are {options.where}"
    try:
        _run_all(options, console, configs, found)
    finally:
        if found:
            console.show(summary_table(found))
            if options.plot:
                draw_sequence_runs(found, options.plot)
    return 0


def build_model(config: SequenceConfig) -> ODERNN:
    """A model with parameters drawn by the seed."""
    options = {} if config.solver == "exact" else _solver_options(config)
    return RECIPES[config.dataset].build(config.model, config.seed, solver=config.solver, **options)


def _solver_options(config: SequenceConfig) -> dict[str, Any]:
    """Options of solvers with a tolerance."""
    rtol = atol = config.tolerance
    gradient = config.gradient or "direct"
    return {"gradient": gradient, "max_nfe": MAX_NFE, "rtol": rtol, "atol": atol}


def _run_all(
    options: SequenceOptions,
    console: Console,
    configs: Sequence[SequenceConfig],
    found: list[Record],
) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    file = RecordFile(options.out, SEQUENCE_RECORDS)
    for config in configs:  # before any run: can the solver solve all models?
        if config.seed == options.seed:
            build_model(config)
    data: tuple[int, SequenceData] | None = None
    for config in configs:
        record = file.find(asdict(config))
        if record is None:
            if data is None or data[0] != config.seed:
                data = config.seed, load_sequences(config.dataset, options.root, config.seed)
            record = _run_one(options, console, config, data[1], file)
            file.add(record)
        if record["status"] != "success":
            console.notice(f"{config.model} {config.seed}: {record['status']}")
        found.append(record)
        console.emit(record)


def _run_one(
    options: SequenceOptions,
    console: Console,
    config: SequenceConfig,
    data: SequenceData,
    file: RecordFile,
) -> Record:
    """Train one model, then look at a forecast and at the adjoint."""
    recipe, label = RECIPES[config.dataset], f"{config.model} {config.seed}"
    net = build_model(config)
    sets = Splits(data.train.sample(config.windows, config.seed), data.validation, data.test)
    task = Forecasting(net, sets, recipe.objective, batch_size=config.batch_size, lr=config.lr,
                       seed=config.seed)  # fmt: skip
    done = _train(options, console, config, task, label)
    run = make_run(asdict(config), sum(p.numel() for p in net.parameters()), done)
    if done.status != "success":
        return run
    try:
        run["curve"] = forecast_curve(net, data.test, channel=recipe.channel)._asdict()
        solver = config.solver.replace("exact", "tsit5")
        counted = resolve_solver(solver, **_solver_options(config))
        run["adjoint"] = probe_adjoint(net, data.test[: config.batch_size], counted)._asdict()
    except SolveError as error:  # the finished training is kept
        run["probe_status"] = str(error)
        console.notice(f"{label}: not probed: {error}")
    except KeyboardInterrupt:
        file.add(run | {"probe_status": "interrupted"})
        raise
    return run


def _train(
    options: SequenceOptions,
    console: Console,
    config: SequenceConfig,
    task: Forecasting,
    label: str,
) -> Fit:
    settings = {name: value for name, value in asdict(config).items() if name != "epochs"}
    with tqdm(total=config.epochs * task.batches, desc=label, disable=console.quiet) as bar:

        def on_epoch(row: dict[str, float]) -> None:
            bar.n = int(row["epoch"]) * task.batches  # a resumed run starts further on
            bar.set_postfix(test=f"{row['test_loss']:.3g}")

        def on_batch() -> None:
            bar.update()

        return fit(task, config.epochs, settings, checkpoint=_checkpoint(options, config),
                   resume=options.resume, on_epoch=on_epoch, on_batch=on_batch)  # fmt: skip


def _checkpoint(options: SequenceOptions, config: SequenceConfig) -> Path | None:
    """The file of one run: the one that was named, if there is no other run."""
    path = options.checkpoint
    if path is None or len(set(options.models)) * options.runs == 1:
        return path
    return path.with_name(f"{path.stem}-{config.model}-{config.seed}{path.suffix}")


COMMAND = Command("sequence", ABOUT, SequenceOptions, run)

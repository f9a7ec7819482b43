"""The command that searches the settings of a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.studies.low_label.options import DATASET_HELP, load_graphs
from grandpp.studies.low_label.plan import check_splits
from grandpp.studies.low_label.search_space import (
    RANGES,
    Parameter,
    parse_parameter,
    search_space,
    start_value,
)
from grandpp.studies.low_label.zoo import FAMILIES, MODELS, ZOO, tuned_run
from grandpp.training.atomic_files import check_target
from grandpp.training.command import Command, Console, resolve_device
from grandpp.training.options import (
    DataOptions,
    DeviceOptions,
    ReportOptions,
    option,
    options_of,
    positive_int,
)
from grandpp.training.table_cells import cell_title
from grandpp.training.tables import columns
from grandpp.training.threads import Threads

if TYPE_CHECKING:
    from grandpp.studies.low_label.tuning import Outcome, Plan, Search

FIRST_SPLIT = 100
"""Splits before this one report accuracies; settings are chosen on others."""

TUNABLE: tuple[str, ...] = tuple(
    name for name in MODELS if any(setting in RANGES for setting in ZOO[name].choices)
)
"""Models with settings to search."""


@dataclass(frozen=True, kw_only=True)
class TuneOptions(ReportOptions, DeviceOptions, DataOptions):
    """Options of the command."""

    labels_per_class: int = option(
        "labelled training nodes per class in every trial", parse=positive_int, metavar="K"
    )
    datasets: tuple[str, ...] = option(
        f"one or more {DATASET_HELP}; each has a search of its own",
        default=(),
        flag="--dataset",
        metavar="NAME",
        shown_default="Cora, or the embedded sbm without it",
    )
    model: str = option(
        "model whose settings are searched: one of {choices}",
        default="grand++-l",
        choices=TUNABLE,
        metavar="NAME",
    )
    trials: int = option(
        "trials in total, those in the file included", default=20, parse=positive_int, metavar="N"
    )
    study: Path | None = option(
        "journal of the search: the same command continues it, also after Ctrl-C or a crash, "
        "and several commands may share it",
        default=None,
        metavar="FILE",
        shown_default="none, nothing is kept",
    )
    splits: int = option(
        "splits of a trial, whose validation accuracies are averaged",
        default=3,
        parse=positive_int,
        metavar="N",
    )
    first_split: int = option(
        f"seed of the first split, at least {FIRST_SPLIT}: those before it are for reporting",
        default=FIRST_SPLIT,
        metavar="S",
    )
    protocol: str = option(
        "which nodes validate: the rest of a pool of 1500 labelled nodes, or 30 per class",
        default="grand",
        choices=("grand", "per_class_val"),
    )
    parameters: tuple[Parameter, ...] = option(
        "search a setting in this range or among these values, also one that is not searched "
        "otherwise, such as learn_beta=true,false",
        default=(),
        flag="--parameter",
        parse=parse_parameter,
        metavar="NAME=LOW:HIGH[:log]",
    )
    seed: int = option("seed of the sampler", default=0, metavar="S")
    threads: int = option("threads of a run on the CPU", default=1, parse=positive_int, metavar="N")
    settings: Mapping[str, Any] = options_of(FAMILIES)


def tune(options: TuneOptions, console: Console) -> int:
    """Search settings on every graph, and print the best of each as a row of settings."""
    if find_spec("optuna") is None:
        raise ImportError("expected the package optuna: pip install 'grandpp[tune]'")
    if options.first_split < FIRST_SPLIT:
        raise ValueError(
            f"expected --first-split of at least {FIRST_SPLIT}, as splits before it are for "
            f"reporting (got {options.first_split})"
        )
    if options.study is not None:
        check_target(options.study)
    device = resolve_device(options.device)
    graphs = load_graphs(console, options.datasets, options.root, device)
    plans = [_plan(options, data) for data in graphs]
    for plan in plans:
        _search(options, console, plan)
    return 0


def _plan(options: TuneOptions, data: Data) -> Plan:
    from grandpp.studies.low_label.tuning import Plan

    run = tuned_run(
        str(data.name),
        options.model,
        options.labels_per_class,
        protocol=options.protocol,
        **{k: v for k, v in options.settings.items() if k in ZOO[options.model].choices},
    )
    unknown = sorted(set(options.settings) - set(ZOO[options.model].choices))
    if unknown:
        raise ValueError(f"expected settings that {options.model} has (got {', '.join(unknown)})")
    space = search_space(run.settings, options.settings, options.parameters)
    start = {name: start_value(run.settings, name) for name in space}
    start = {name: value for name, value in start.items() if value in space[name]}
    splits = range(options.first_split, options.first_split + options.splits)
    check_splits([(run.on(split), data) for split in splits])
    return Plan(run, data, splits, space, start)


def _search(options: TuneOptions, console: Console, plan: Plan) -> None:
    tuning = import_module("grandpp.studies.low_label.tuning")
    threads = Threads(options.threads, options.threads)
    device = resolve_device(options.device)
    bar = tqdm(
        total=options.trials,
        unit="trial",
        desc=f"{plan.run.dataset}, {plan.run.model}",
        disable=options.quiet,
        file=sys.stderr,
    )
    with bar:
        search: Search = tuning.Search(
            plan, options.study, options.seed, device, threads, on_failure=console.notice
        )
        kept = "shown" if options.study is None else f"kept in {options.study}"
        console.kept = lambda: f"{len(search.done())} finished trials are {kept}"

        def on_epoch(trial: int, split: int) -> None:
            bar.set_postfix_str(f"{_best(search)}, trial {trial} on split {split}", refresh=False)
            bar.update(0)

        def on_trial() -> None:
            bar.update(len(search.done()) - bar.n)

        search.on_epoch = on_epoch
        bar.update(min(len(search.done()), options.trials))
        try:
            search.run_trials(options.trials, on_trial)
        finally:
            bar.close()
            _report(options, console, plan, search.outcome())


def _best(search: Search) -> str:
    best = search.outcome().val_accuracy
    return "no trial yet" if best is None else f"best {100 * best:.2f} %"


def _report(options: TuneOptions, console: Console, plan: Plan, outcome: Outcome) -> None:
    if outcome.best is None:
        console.notice(f"no complete trial of {outcome.trials}: no settings to show")
        return
    run = plan.run
    row = {**options.settings, **outcome.best}
    text, where = settings_row(run.dataset, row), settings_place(run.model, row)
    console.emit({
        "dataset": run.dataset,
        "model": run.model,
        "labels_per_class": run.labels_per_class,
        "protocol": run.protocol,
        "first_split": plan.splits.start,
        "splits": len(plan.splits),
        "epochs": run.settings.epochs,
        "trials": outcome.trials,
        "pruned": outcome.pruned,
        "failed": outcome.failed,
        "best_trial": outcome.best_trial,
        "val_accuracy": outcome.val_accuracy,
        "start_val_accuracy": outcome.start_val_accuracy,
        "settings": row,
        "row": text,
        "row_of": where,
    })  # fmt: skip
    first, last = plan.splits.start, plan.splits.stop - 1
    console.show("\n".join([
        f"{run.model} on {cell_title(run.dataset, run.labels_per_class)}, protocol "
        f"{run.protocol}, mean over splits {first} to {last}",
        columns([
            ["settings", "trial", "validation accuracy"],
            ["present", _number(outcome.start_trial), _percent(outcome.start_val_accuracy)],
            ["best", _number(outcome.best_trial), _percent(outcome.val_accuracy)],
        ]),
        f"{outcome.trials} trials, {outcome.pruned} of them pruned and {outcome.failed} failed",
        f"Row of {where}:",
        f"    {text}",
    ]))  # fmt: skip


def settings_row(dataset: str, settings: Mapping[str, Any]) -> str:
    """Settings of a data set as a row of ``tuned_rows``, in Python."""
    items = ", ".join(f'"{name}": {_literal(value)}' for name, value in settings.items())
    return f"{_literal(dataset)}: {{{items}}},"


def settings_place(model: str, settings: Mapping[str, Any]) -> str:
    """Where a row has to stand to be effective."""
    variant = ZOO[model]
    place = f"{variant.settings.__name__}.tuned_rows"
    stronger = [name for name in settings if name in variant.values]
    if stronger:
        place += f", but for {', '.join(stronger)}, which ZOO['{model}'] sets for every data set"
    return place


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


COMMAND = Command(
    "tune",
    """Search the settings of a model with few labels by Optuna, and print the best as a row.

Examples:
    grandpp tune --dataset Cora --model grand++-l --labels-per-class 5 --trials 50 \\
        --study cora.journal
    grandpp tune --dataset Cora CiteSeer --model gcn --labels-per-class 1 --splits 5 \\
        --study gcn.journal --parameter lr=0.001:0.05:log --parameter hidden=32,64
    grandpp tune --dataset my.npz --model grand-l --labels-per-class 2 --epochs 50 \\
        --study my.journal --parameter learn_beta=true,false

What is searched follows from the settings that the model has: time, hidden channels, heads and
form of attention, source gain, optimiser, learning rate, weight decay, both rates of dropout, the
form of the features, layers or hops. --parameter replaces a range or adds a setting; a setting
given as an option (--time 4, --epochs 50) is not searched.

What happens:
    The first trial takes the present settings, so that the best ones are not worse on these splits.
    Later ones are suggested by the tree-structured Parzen estimator, after ten by random numbers.
    A trial trains on every split; its value is the mean validation accuracy at the best epoch. Test
    nodes are not looked at, and splits 0 to 99 are refused: they are for reporting.
    Once five trials are complete, one that is worse than their median at the same epoch is pruned.
    Pruned and failed trials count.
    With --study, run the same command again after an interruption: only the trial in progress is
    lost. The trials of a search that is interrupted by Ctrl-C and continued are those of an
    undisturbed one with the same --seed, if one command at a time works on the file and runs give
    the same bits again, as on a CPU. --trials may grow; other options that change what a trial
    means are refused.

The best of many trials is optimistic: report it on splits 0 to 99, by grandpp classify. Install
Optuna by pip install 'grandpp[tune]'. scripts/tune.py is the same command.""",
    TuneOptions,
    tune,
)

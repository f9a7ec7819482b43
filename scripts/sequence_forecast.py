"""Forecast irregular time series with ODE-RNNs: the plane, the walker, or coupled oscillators.

Examples:
    python scripts/sequence_forecast.py
    python scripts/sequence_forecast.py --dataset plane-vibration --model hbnode --describe
    python scripts/sequence_forecast.py --dataset walker2d --model node --model hbnode --runs 3 \
--windows 1024 --epochs 5 --out walker.jsonl --plot walker.png

Run it again after an interruption: runs already in the file are not repeated. With --checkpoint and
--resume a run goes on after its last finished epoch, to the same result. --solver exact solves the
equations of walker2d but those of ghbnode and adamnode, which are not linear.

Columns: losses are mean squared errors (of the forecast rows, for walker2d of the next rows) after
the last epoch; "test at best" is the test loss at the epoch of smallest validation loss. "nfe" are
evaluations of one batch, all intervals together, the mean over epochs; "adjoint forward" and
"backward" are those of one adjoint solve after the last epoch (with --solver exact, of tsit5), and
"first/last" is the norm of the adjoint state at the first observation over that at the last.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tqdm import tqdm

from grandpp.data import SEQUENCES, DatasetError, SequenceData, load_sequences
from grandpp.layers import KINDS, describe_module
from grandpp.sequence import ODERNN
from grandpp.solvers import SolveError, resolve_solver
from grandpp.studies.sequences.figures import draw_sequence_runs
from grandpp.studies.sequences.forecasting import Forecasting
from grandpp.studies.sequences.inspection import forecast_curve, probe_adjoint
from grandpp.studies.sequences.options import complete, sequence_parser
from grandpp.studies.sequences.recipes import RECIPES
from grandpp.studies.sequences.runs import BEFORE, KEY, make_run, summary_table
from grandpp.studies.sequences.window_set import Splits
from grandpp.training.checkpointed_training import fit
from grandpp.training.cli import complain
from grandpp.training.figures import check_picture
from grandpp.training.json_lines import to_json
from grandpp.training.record_file import append_record
from grandpp.training.run_lines import read_runs

PROGRAM, MAX_NFE = "sequence_forecast", 2000


def build_model(args: argparse.Namespace, model: str, seed: int = 0) -> ODERNN:
    """A model with parameters drawn by the seed."""
    options = {} if args.solver == "exact" else solver_options(args)
    return RECIPES[args.dataset].build(model, seed, solver=args.solver, **options)


def solver_options(args: argparse.Namespace) -> dict[str, Any]:
    """What solvers with a tolerance are given."""
    rtol = atol = args.tolerance
    return {"gradient": args.gradient or "direct", "max_nfe": MAX_NFE, "rtol": rtol, "atol": atol}


def train(args: argparse.Namespace, key: dict[str, Any], data: SequenceData) -> dict[str, Any]:
    """One run."""
    recipe, seed = RECIPES[args.dataset], key["seed"]
    net = build_model(args, key["model"], seed)
    sets = Splits(data.train.sample(args.windows, seed), data.validation, data.test)
    size, lr = args.batch_size, args.lr
    task = Forecasting(net, sets, recipe.objective, batch_size=size, lr=lr, seed=seed)
    settings = {name: value for name, value in key.items() if name != "epochs"}
    path = args.checkpoint
    if path is not None and args.several:
        path = path.with_name(f"{path.stem}-{key['model']}-{seed}{path.suffix}")
    label = f"{key['model']} {seed}"
    with tqdm(total=args.epochs * task.batches, desc=label, disable=args.quiet) as bar:

        def on_epoch(row: dict[str, float]) -> None:
            bar.n = int(row["epoch"]) * task.batches  # a resumed run starts further on
            bar.set_postfix(test=f"{row['test_loss']:.3g}")

        def on_batch() -> None:
            bar.update()

        done = fit(task, args.epochs, settings, checkpoint=path, resume=args.resume,
                   on_epoch=on_epoch, on_batch=on_batch)  # fmt: skip
    run = make_run(key, sum(p.numel() for p in net.parameters()), done)
    if done.status == "success":
        try:
            run["curve"] = forecast_curve(net, data.test, channel=recipe.channel)._asdict()
            counted = resolve_solver(args.solver.replace("exact", "tsit5"), **solver_options(args))
            run["adjoint"] = probe_adjoint(net, data.test[:size], counted)._asdict()
        except SolveError as error:  # a finished training is none the worse for it
            run["probe_status"] = str(error)
            sys.stderr.write(f"{PROGRAM}: notice: {label}: not probed: {error}\n")
        except KeyboardInterrupt:
            if args.out is not None:
                append_record(args.out, run | {"probe_status": "interrupted"})
            raise
    return run


def train_all(args: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    known = read_runs(args.out, KEY, BEFORE)
    _ = [build_model(args, m) for m in args.models]  # before any run: does the solver serve all?
    for seed in range(args.seed, args.seed + args.runs):
        data: SequenceData | None = None
        for model in args.models:
            key = {name: getattr(args, name, None) for name in KEY} | {"model": model, "seed": seed}
            run = known.get(tuple(key.values()))
            if run is None:
                data = data or load_sequences(args.dataset, args.root, seed)
                run = train(args, key, data)
                if args.out is not None:
                    append_record(args.out, run)
            if run["status"] != "success":
                sys.stderr.write(f"{PROGRAM}: notice: {model} {seed}: {run['status']}\n")
            found.append(run)
            if args.json:
                print(to_json(run), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = sequence_parser(PROGRAM, __doc__, SEQUENCES, tuple(KINDS)).parse_args(argv)
    args.models = list(dict.fromkeys(args.models or tuple(KINDS)[:5]))
    args.several = len(args.models) * args.runs > 1
    runs: list[dict[str, Any]] = []
    code = 0
    try:
        complete(args, RECIPES[args.dataset])
        if args.describe:
            shown = {m: {"model": m, **describe_module(build_model(args, m))} for m in args.models}
            print(json.dumps(shown if len(shown) > 1 else shown[args.models[0]]))
            return 0
        if args.plot:
            check_picture(args.plot)
        if args.resume and args.checkpoint is None:
            raise ValueError("expected --checkpoint with --resume (got none)")
        train_all(args, runs)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(runs)} finished runs follow\n")
        code = 130
    except (ValueError, TypeError, OSError, DatasetError) as error:
        code = complain(PROGRAM, error)
    if runs:
        print(summary_table(runs), file=sys.stderr if args.json else sys.stdout)
        if args.plot:
            draw_sequence_runs(runs, args.plot)
    return code


if __name__ == "__main__":
    sys.exit(main())

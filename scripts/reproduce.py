"""Reproduce a table of thesis chapter 4 and set our numbers beside the thesis's.

Examples:
    python scripts/reproduce.py --table 4.3 --datasets Cora CiteSeer
    python scripts/reproduce.py --table 4.1 --datasets Cora --models grand-l grand++-l \\
        --depths 1 16 256 --splits 10 --workers 4
    python scripts/reproduce.py --table 4.4 --report-only

Tables: 4.1 depth; 4.3 few labels; 4.4 and 4.5 its t-tests, unpaired and paired; 4.6 to 4.8 other
networks; 4.9 and 4.10 nonlinear diffusion and rewiring, against depth and with few labels.

What happens:
    Every run is appended to DIR/table-4.3.jsonl as it ends. Runs that are there, or in
    DIR/table-4.3.jsonl.gz, or in the files of --records, are not repeated: after an interruption
    give the same command again. At the end DIR holds, of all runs of the table so far,
        table-4.3.jsonl.gz  the records, packed: small enough for version control
        table-4.3.csv       every number, accuracies in fractions
        table-4.3.png       accuracies and paired differences with intervals
        RESULTS.md          a section per table, made from the packed records alone
    --report-only makes these from what is there, also from part of a sweep.

How to read the table:
    ours        test accuracy at the best validation epoch, as in the thesis, over splits; "last
                epoch" is what remains without validation nodes
    difference  ours minus thesis, with its 95 % interval by Welch
    verdict     better, worse or n.s. (not significant) by Welch's t-test from the thesis's mean,
                deviation and 100 splits, corrected by Holm for all tested cells of the table.
                "n.s." is no proof of equality: see the interval. The splits are not known to be
                the thesis's, so this test cannot be paired; those among our own models are
    filled      the thesis has NA there: its solver failed
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grandpp.data import DATASETS, PROTOCOLS, DatasetError
from grandpp.studies import thesis as rp
from grandpp.studies.thesis.printed import SPLITS
from grandpp.training import WorkerError
from grandpp.training.cli import (
    OneLineParser,
    add_worker_options,
    complain,
    fail,
    load_graphs,
    positive_int,
    resolve_device,
)
from grandpp.training.memory import keep_freed_memory
from grandpp.training.records import Record, record_key
from grandpp.training.sweep import run_sweep

PROGRAM = "reproduce"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--table", required=True, choices=rp.TABLES, metavar="N", help=", ".join(rp.TABLES))
    add("--datasets", nargs="+", choices=DATASETS, metavar="NAME", help=f"of {', '.join(DATASETS)} "
        "(default: the table's own one, or Cora and CiteSeer)")  # fmt: skip
    add("--models", nargs="+", metavar="NAME", help="names as for node_classify (default: the "
        "table's; for 4.3 grand-l, grand++-l, grand++-cluster-l, gcn, poisson)")  # fmt: skip
    add("--labels", nargs="+", type=positive_int, metavar="K", help="labelled nodes per class, in "
        "a table of labels (default: the table's)")  # fmt: skip
    add("--depths", nargs="+", type=float, metavar="T", help="integration times, or layers, in a "
        "table of depths (default: the table's, NA included)")  # fmt: skip
    add("--splits", type=positive_int, default=SPLITS, metavar="N", help="splits 0 to N - 1 "
        f"(default: {SPLITS}, as in the thesis)")  # fmt: skip
    add("--seeds", type=positive_int, default=1, help="runs per split; the thesis has 20, which "
        "add nothing to the number of splits (default: 1)")  # fmt: skip
    add("--protocol", default="grand", choices=PROTOCOLS, help="which nodes choose the epoch; the "
        "thesis's is grand (default: grand)")  # fmt: skip
    add("--epochs", type=positive_int, help="training epochs (default: tuned per data set)")
    add_worker_options(parser)
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: auto)")
    add("--root", type=Path, help="folder of raw data files, before $GRANDPP_DATA and the cache")
    add("--results", type=Path, default=rp.FOLDER, metavar="DIR", help="(default: results)")
    add("--records", type=Path, nargs="+", default=[], metavar="FILE", help="take wanted runs from "
        "these files, .jsonl or .jsonl.gz, instead of repeating them")  # fmt: skip
    add("--report-only", action="store_true", help="train nothing")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def plan(args: argparse.Namespace) -> rp.TableRequest:
    """What is asked for; the tables of t-tests are part of Table 4.3."""
    layout = rp.TEST_LAYOUTS.get(args.table) or rp.LAYOUTS[args.table]
    names = ("labels", "depths", "splits", "seeds", "protocol", "epochs")
    options = {name: getattr(args, name) for name in names}
    datasets = args.datasets or layout.datasets
    return rp.TableRequest(layout, datasets, layout.choose(args.models), **options)


def train(args: argparse.Namespace, request: rp.TableRequest, records: list[Record]) -> None:
    """Do the runs that have no record yet, and add theirs."""
    done = {record_key(record) for record in records}
    todo = [config for config in request.configs() if config.key not in done]
    if not todo:
        return
    device, progress = resolve_device(args.device), not args.quiet
    names = list(dict.fromkeys(config.dataset for config in todo))
    graphs = load_graphs(PROGRAM, names, args.root, progress=progress)
    runs = rp.with_graphs(todo, {graph.name: graph.to(device) for graph in graphs})
    out = rp.file_of(args.results, request.layout.table, request.protocol, ".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    pool = {name: getattr(args, name) for name in ("workers", "threads", "backend", "scheduler")}
    run_sweep(runs, device, records.append, out=out, progress=progress, **pool)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    records: list[Record] = []
    try:
        request = plan(args)
        layout, configs = request.layout, request.configs()
        there = rp.table_records(args.results, layout.table, args.protocol)
        records += rp.merge(there, rp.adopt(args.records, configs))
        rp.check_settings(layout, records, () if args.report_only else configs)
        if not args.report_only:
            train(args, request, records)
        result = rp.write_results(args.results, rp.LAYOUTS[layout.table], records)
    except (KeyboardInterrupt, WorkerError) as error:
        kept = (f"runs of the table kept: {len(records)}; the same command goes on, --report-only "
                "shows them")  # fmt: skip
        if isinstance(error, WorkerError):
            return complain(PROGRAM, f"{error}; {kept}")
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {kept}\n")
        return 130
    except (ValueError, TypeError, IndexError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    if args.table in rp.TEST_LAYOUTS:
        print(rp.t_test_table(args.table, result))
    else:
        shown = [variant.name for variant in request.variants] if args.models else None
        print(rp.accuracy_tables(result, datasets=args.datasets, models=shown))
    print(f"\n{rp.counts(result)}\nMore in {args.results / rp.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

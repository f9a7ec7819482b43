"""The command ``grandpp``, also as ``python -m grandpp``: one subcommand per program.

The list of commands needs no module but this one: a command is imported when it is run, as torch
takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from grandpp import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "label": (
        "grandpp.estimator.label",
        "classify the nodes of your own graph from a few labelled nodes",
    ),
    "predict": ("grandpp.estimator.predict", "label another graph with a saved model"),
    "suggest": ("grandpp.estimator.suggest", "choose the nodes whose labels would help most"),
    "classify": (
        "grandpp.studies.low_label.classify",
        "train node classifiers on few labels and compare their accuracies",
    ),
    "tune": (
        "grandpp.studies.low_label.tune",
        "search the settings of a model by Optuna",
    ),
    "partition": (
        "grandpp.distributed.partition_command",
        "cut a graph into shards, one for each process of train-sharded",
    ),
    "train-sharded": (
        "grandpp.distributed.train_command",
        "train a node classifier on a graph in several processes",
    ),
    "compare": (
        "grandpp.studies.low_label.compare",
        "compare models in files of records: paired tests, tables, figures",
    ),
    "depth": ("grandpp.studies.low_label.depth", "train models at several depths or times"),
    "reproduce": (
        "grandpp.studies.thesis.reproduce",
        "run a table of the thesis and compare it with the printed numbers",
    ),
    "sequence": (
        "grandpp.studies.sequences.command",
        "forecast irregular time series with ODE-RNNs",
    ),
    "image": ("grandpp.studies.images.command", "classify images with neural ODEs"),
    "flow": (
        "grandpp.studies.flows.command",
        "learn the density of images with continuous normalising flows",
    ),
    "point-cloud": (
        "grandpp.studies.point_cloud.command",
        "separate a disc from the ring around it with neural ODEs",
    ),
    "silverbox": (
        "grandpp.studies.silverbox.command",
        "measure how untrained neural ODEs grow on the Silverbox input",
    ),
    "solver": (
        "grandpp.studies.solver_problems.command",
        "measure solvers: error against evaluations",
    ),
}
"""Module with the ``COMMAND``, and what it does, by the name that the user types."""

USAGE = "usage: grandpp [-h] [--version] COMMAND ..."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; return its exit code.

    Args:
        argv: Arguments. (default: those of the process)

    Returns:
        That of :func:`grandpp.training.command.run_command`; 2 for an unknown command.
    """
    first, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if first in ("-h", "--help"):
        sys.stdout.write(f"{_help()}\n")
        return 0
    if first == "--version":
        sys.stdout.write(f"grandpp {__version__}\n")
        return 0
    if first not in COMMANDS:
        sys.stderr.write(f"grandpp: error: {_unknown(first)}\n")
        return 2
    try:
        module = import_module(COMMANDS[first][0])
        from grandpp.training.command import run_command
    except KeyboardInterrupt:
        sys.stderr.write(f"\ngrandpp {first}: interrupted\n")
        return 130
    return run_command(module.COMMAND, rest)


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join([
        USAGE,
        "",
        "Graph neural diffusion and neural ODEs: training, comparison, measurements.",
        "",
        "commands:",
        *rows,
        "",
        "grandpp COMMAND --help explains a command.",
    ])  # fmt: skip


def _unknown(name: str) -> str:
    near = get_close_matches(name, COMMANDS)
    hint = f"did you mean {' or '.join(near)}?" if near else "see grandpp --help"
    return f"expected a command among {', '.join(COMMANDS)} (got '{name}'); {hint}"


if __name__ == "__main__":
    sys.exit(main())

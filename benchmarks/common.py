"""What the benchmarks share: their command line, alternating timings, data by name, tables."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import DatasetError, load_dataset, sbm
from grandpp.training.command import Console, OneLineParser
from grandpp.training.figures import check_picture
from grandpp.training.memory import is_out_of_memory
from grandpp.training.options import positive_int

Row: TypeAlias = dict[str, Any]

# Nodes, undirected edges and classes of the synthetic graphs, the sizes of ogbn-arxiv and above.
SIZES: dict[str, tuple[int, int, int]] = {
    "sbm-20k": (20_000, 200_000, 10),
    "sbm-170k": (169_343, 1_157_799, 40),
    "sbm-1m": (1_000_000, 5_000_000, 20),
}


def graph(name: str, root: Path | None = None, num_features: int = 128) -> Data:
    """Load a data set, or make one of :data:`SIZES`."""
    if name not in SIZES:
        return load_dataset(name, root, progress=False)
    nodes, edges, classes = SIZES[name]
    return sbm(num_nodes=nodes, num_edges=edges, num_classes=classes, num_features=num_features)


MOST_TURNS = 20


def alternate(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    *,
    least: float = 0.0,
    label: str | None = None,
) -> dict[str, list[float]]:
    """Seconds of every contestant, in turns, so that a busy machine is unfair to all alike.

    Args:
        contestants: What to time, by name; each is called once before the first round.
        rounds: Number of rounds.
        device: Where they run.
        least: Seconds of a round that a contestant gets at least: fast ones take several turns,
            and the median of them counts. (default: ``0``, one turn)
        label: Text before the progress bar. (default: ``None``)

    Returns:
        One number per contestant and round.
    """
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in tqdm(range(rounds), desc=label, unit="round"):
        for name, times in one_round(contestants, device, least).items():
            seconds[name].append(statistics.median(times))
    return seconds


def one_round(
    contestants: Mapping[str, Callable[[], object]], device: torch.device, least: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of every turn of each contestant in a round; arguments as in :func:`alternate`."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    turns = dict.fromkeys(contestants, 1)
    while waiting := [name for name in contestants if len(times[name]) < turns[name]]:
        for name in waiting:
            _wait(device)
            start = time.perf_counter()
            contestants[name]()
            _wait(device)
            times[name].append(time.perf_counter() - start)
            if len(times[name]) == 1:
                turns[name] = min(MOST_TURNS, max(1, math.ceil(least / times[name][0])))
    return times


def ratio(seconds: list[float], base: list[float] | None) -> float | None:
    """Median over rounds of one contestant's seconds over another's; ``None`` without the other.

    The machine may be faster in one round than in the next: within a round both meet the same one.
    """
    if base is None:
        return None
    return statistics.median(a / b for a, b in zip(seconds, base, strict=True))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parser(
    program: str, description: str | None, rounds: int, note: str = ""
) -> argparse.ArgumentParser:
    """The options that every benchmark has; ``note`` says where the rounds are other ones."""
    form = argparse.RawDescriptionHelpFormatter
    result = OneLineParser(prog=program, description=description, formatter_class=form)
    add = result.add_argument
    add("--rounds", type=positive_int, default=rounds, metavar="N",
        help=f"timings of each contestant (default: {rounds}{note})")  # fmt: skip
    add("--device", default="cpu", choices=("auto", "cpu", "cuda"), help="(default: cpu)")
    add("--root", type=Path, help="folder of raw data files")
    add("--json", action="store_true", help="print one JSON line per row; the table goes to stderr")
    return result


def in_own_process(program: str, command: list[str], what: str) -> Any:
    """Run a benchmark's own command in a new process, so that peaks of memory do not mix.

    Args:
        program: Its name in messages.
        command: The file of the program and its arguments; it prints one line of JSON.
        what: What it measures, for the message.

    Returns:
        What it printed.

    Raises:
        ValueError: If it fails, with its last words.
    """
    done = subprocess.run(  # noqa: S603 (this very program)
        [sys.executable, *command], capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix(f"{program}: error: ")
        raise ValueError(said or f"{what} ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def run(
    program: str,
    measure: Callable[[list[Row]], None],
    as_json: bool,
    after: Callable[[], None] = lambda: None,
) -> int:
    """Run a benchmark and print its rows, those finished before Ctrl-C included.

    Args:
        program: Its name in messages.
        measure: Appends rows to the list it is given; a ``finally`` clause of it may do so, too.
        as_json: Whether to print JSON lines.
        after: Called after rows were printed, for example to draw them. (default: nothing)

    Returns:
        0, or 130 after Ctrl-C; bad input, missing data or too little memory exits with 2 and one
        line.
    """
    rows: list[Row] = []
    code = 0
    try:
        measure(rows)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{program}: interrupted; {len(rows)} finished rows follow\n")
        code = 130
    except (ValueError, TypeError, IndexError, DatasetError, OSError) as error:
        raise SystemExit(Console(program).complain(error)) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise SystemExit(Console(program).out_of_memory(error)) from None
    if rows:
        Table(rows).show(as_json)
        try:
            after()
        except OSError as error:
            raise SystemExit(Console(program).complain(error)) from None
    return code


def add_kept(add: Callable[..., object]) -> None:
    """Add the options of a study whose runs are kept: ``--out``, ``--plot`` and ``--json``."""
    add("--out", type=Path, metavar="FILE", help="keep every run; runs there are not repeated")
    add("--plot", type=Path, metavar="FILE", help="save a picture")
    add("--json", action="store_true", help="print one JSON line per row; the table goes to stderr")


def run_kept(
    program: str,
    args: argparse.Namespace,
    study: Callable[[argparse.Namespace, list[Row]], None],
    rows_of: Callable[[list[Row]], list[Row]],
    draw: Callable[[list[Row], Path], None],
) -> int:
    """Run a study with the options of :func:`add_kept` on one thread, print and draw its runs.

    Args:
        program: Its name in messages.
        args: The options.
        study: Appends a record per run to the list it is given.
        rows_of: The lines of the table for these records.
        draw: Draws them.

    Returns:
        As :func:`run`.
    """
    torch.set_num_threads(1)
    records: list[Row] = []

    def measure(rows: list[Row]) -> None:
        if args.plot is not None:
            check_picture(args.plot)
        try:
            study(args, records)
        finally:
            rows += rows_of(records)

    def picture() -> None:
        if args.plot is not None:
            draw(records, args.plot)

    return run(program, measure, args.json, picture)


@dataclass(frozen=True)
class Table:
    """Rows of one kind, printed as a table and as JSON lines."""

    rows: list[Row]

    def show(self, as_json: bool) -> None:
        """Print the rows."""
        stream = sys.stderr if as_json else sys.stdout
        if as_json:
            for row in self.rows:
                print(json.dumps(row))
        columns = list(self.rows[0])
        cells = [[_text(row[c]) for c in columns] for row in self.rows]
        widths = [max(map(len, col)) for col in zip(columns, *cells, strict=True)]
        for line in (columns, *cells):
            text = "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True))
            print(text, file=stream)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def median_ms(seconds: list[float]) -> float:
    """Median in milliseconds."""
    return 1e3 * statistics.median(seconds)

"""The benchmarks as a user meets them: bad input, missing data, interruption; nothing is timed."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import torch

from grandpp.data.download import DownloadError

PROGRAMS = ("epoch", "kernels", "scaling")
SINGLE = (*PROGRAMS, "library_loop", "throughput", "whole_run")
ALL = (*SINGLE, "explicit")  # which makes its data itself


@pytest.fixture
def programs(monkeypatch, load):
    loaded = {name: load(name) for name in ("common", "reference", *ALL)}
    for name in ALL:
        # It holds for the whole process, and would hide allocations from the tests of memory.
        monkeypatch.setattr(loaded[name], "keep_freed_memory", lambda: True)
    return loaded


@pytest.fixture
def nothing_to_load(monkeypatch, tmp_path):
    def no_network(*arguments):
        raise DownloadError("no network")

    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("grandpp.data.locate.download_missing", no_network)


def refused(main, capsys, *arguments):
    """The one line that a program exits with."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("program", ALL)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rounds", "0"], "positive integer"),
        (["--rounds", "-3"], "positive integer"),
        (["--device", "toaster"], "toaster"),
        (["--loud"], "--loud"),
    ],
)
def test_bad_options_of_all_programs_are_one_line(programs, capsys, program, arguments, words):
    message = refused(programs[program].main, capsys, *arguments)
    assert message.startswith(f"{program}: error: ")
    assert words in message


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("epoch", ["--dataset", "Korah"], "Korah"),
        ("epoch", ["--model", "lstm"], "lstm"),
        ("epoch", ["--labels-per-class", "0"], "positive integer"),
        ("epoch", ["--out", "nowhere/rows.jsonl"], "nowhere"),
        ("kernels", ["--graph", "Korah"], "Korah"),
        ("kernels", ["--channels", "-1"], "positive integer"),
        ("explicit", ["--problem", "moon"], "moon"),
        ("explicit", ["--problem", "mlp", "--error", "1e-30"], "'error' that dopri5 reaches"),
        ("scaling", ["--axis", "width"], "width"),
        ("scaling", ["--model", "gcn"], "gcn"),
        ("throughput", ["--dataset", "Korah"], "Korah"),
        ("library_loop", ["--dataset", "Korah"], "Korah"),
        ("library_loop", ["--way", "back"], "back"),
        ("throughput", ["--loops", "0"], "positive integer"),
        ("whole_run", ["--dataset", "Korah"], "Korah"),
        ("whole_run", ["--model", "lstm"], "lstm"),
        ("scaling", ["--point", "4"], "from 0 to 3 .*got 4"),
        ("scaling", ["--axis", "edges", "--point", "-1"], "from 0 to 2 .*got -1"),
    ],
)
def test_bad_options_of_one_program_are_one_line(
    programs, capsys, monkeypatch, program, arguments, words
):
    monkeypatch.setattr(programs["kernels"], "copy_bandwidth", lambda device: 1.0)
    message = refused(programs[program].main, capsys, *arguments)
    assert message.startswith(f"{program}: error: ")
    assert re.search(words, message)


@pytest.mark.parametrize("program", ALL)
def test_cuda_where_there_is_none_is_one_line(programs, capsys, monkeypatch, program):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    point = ["--point", "0"] if program == "scaling" else []
    assert "CUDA" in refused(programs[program].main, capsys, "--device", "cuda", *point)


@pytest.mark.parametrize("program", SINGLE)
def test_missing_data_is_one_line(programs, capsys, monkeypatch, nothing_to_load, program):
    monkeypatch.setattr(programs["kernels"], "copy_bandwidth", lambda device: 1.0)
    named = ["--dataset", "Cora"]
    more = {"scaling": ["--point", "0"], "whole_run": named, "library_loop": named}.get(program, [])
    assert "Cora was not found" in refused(programs[program].main, capsys, *more)


def test_a_point_that_fails_in_its_own_process_is_one_line(programs, capsys, monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 2, "", "scaling: error: no Cora\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as stop:
        programs["scaling"].main([])
    assert stop.value.code == 2
    # The progress bar writes to the same stream.
    assert capsys.readouterr().err.splitlines()[-1] == "scaling: error: no Cora"


def test_ctrl_c_keeps_the_finished_rows(programs, capsys, monkeypatch):
    scaling = programs["scaling"]

    def run(command, **options):
        point = int(command[command.index("--point") + 1])
        if point == 2:
            raise KeyboardInterrupt
        row = {"model": "grand-l", "time": 4.0**point, "ms": 2.0**point}
        said = 512.0 if "--peak" in command else [row]
        return subprocess.CompletedProcess(command, 0, json.dumps(said), "")

    monkeypatch.setattr(subprocess, "run", run)
    assert scaling.main(["--json"]) == 130
    captured = capsys.readouterr()
    first, second = [json.loads(line) for line in captured.out.splitlines()]
    assert first["slope"] is None
    assert second["slope"] == pytest.approx(0.5)
    assert first["peak_mib"] == second["peak_mib"] == 512
    assert "2 finished rows" in captured.err


@pytest.mark.parametrize("program", ["epoch", "kernels"])
def test_ctrl_c_before_any_row_prints_none(programs, capsys, monkeypatch, program):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(programs[program], "graph", interrupted)
    monkeypatch.setattr(programs["kernels"], "copy_bandwidth", lambda device: 1.0)
    assert programs[program].main([]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert "interrupted" in captured.err


def test_contestants_take_turns_after_a_warm_up(programs):
    order = []
    contestants = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = programs["common"].alternate(contestants, 3, torch.device("cpu"))
    assert "".join(order) == "ab" * 4
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_a_fast_contestant_takes_turns_until_its_share_of_a_round_is_up(programs, monkeypatch):
    common, order, clock = programs["common"], [], [0.0]

    def contestant(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds

        return run

    monkeypatch.setattr(common.time, "perf_counter", lambda: clock[0])
    contestants = {"fast": contestant("f", 0.125), "slow": contestant("s", 2.0)}
    seconds = common.alternate(contestants, 2, torch.device("cpu"), least=0.5)
    assert "".join(order) == "fs" + 2 * "fsfff"
    assert seconds == {"fast": [0.125, 0.125], "slow": [2.0, 2.0]}


def test_a_ratio_is_taken_within_each_round(programs):
    # The machine slows down in the second round and is disturbed in the third.
    assert programs["common"].ratio([2.0, 20.0, 3.0], [1.0, 10.0, 10.0]) == 2.0
    assert programs["common"].ratio([2.0], None) is None


def test_all_ways_to_multiply_agree_on_a_small_graph(programs, monkeypatch, karate):
    kernels = programs["kernels"]
    data = type("Data", (), {"edge_index": karate, "num_nodes": 34})
    monkeypatch.setattr(kernels, "graph", lambda *arguments, **options: data)
    rows = kernels.measure("karate", 3, 1, 1.0, torch.device("cpu"), None)
    assert [r["way"] for r in rows] == ["ours", "index_add", "torch"] * 2
    assert {r["nnz"] for r in rows} == {karate.size(1) + 34}


def test_the_switched_way_runs_tritons_kernels_forward_and_backward(programs, monkeypatch, karate):
    launchers = pytest.importorskip(
        "grandpp.linalg.experimental.triton_products", exc_type=ImportError
    )
    kernels = programs["kernels"]
    graph = kernels.prepare_graph(karate, 34)
    names = []
    for name in ("multiply", "sampled_product"):
        real = getattr(launchers, name)
        monkeypatch.setattr(launchers, name, lambda *v, n=name, f=real: names.append(n) or f(*v))
    ways = kernels.ways_to_multiply(graph, triton=True)
    w, x, up = torch.rand(graph.csr.col.numel()), torch.rand(34, 3), torch.rand(34, 3)
    expected = ways["ours"][0](w, x), *ways["ours"][1](w, x, up)
    assert names == []
    result = ways["triton"][0](w, x), *ways["triton"][1](w, x, up)
    assert names == ["multiply", "multiply", "sampled_product", "multiply"]
    torch.testing.assert_close(result, expected)


def test_explicit_solvers_are_compared_at_the_wanted_error(programs, capsys, monkeypatch):
    explicit = programs["explicit"]

    def small(device):
        field = torch.nn.Linear(3, 3).double()

        class Field(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.field = field

            def forward(self, t, y):
                return torch.tanh(self.field(y)) * (3 * t).cos()

        return explicit.Problem(Field(), lambda f: (f, torch.ones(2, 3).double()), 2.0)

    monkeypatch.setattr(explicit, "PROBLEMS", {"small": small})
    assert explicit.main(["--rounds", "1", "--error", "1e-4", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["gradient"], r["solver"]) for r in rows] == [
        (g, s) for g in ("direct", "adjoint") for s in ("dopri5", "tsit5")
    ]
    assert all(1e-7 < r["error"] <= 1e-4 and r["gradient_error"] < 0.1 for r in rows)
    assert [r["nfe_forward"] for r in rows[:2]] == [r["nfe_forward"] for r in rows[2:]]
    assert all(r["ms"] > 0 for r in rows)

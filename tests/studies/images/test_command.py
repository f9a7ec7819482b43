"""grandpp image as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import runner

from grandpp.studies.images import classification, command

SMALL = ["--train", "16", "--test", "16", "--batch-size", "16", "--epochs", "1", "--tol", "0.01"]


@pytest.fixture
def main(monkeypatch):
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    return runner(command.COMMAND, "image_classify")


def test_describe_needs_no_data_and_counts_parameters(main, capsys):
    assert main(["--describe", "--dataset", "mnist"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["node"]["parameters"] == 85316
    assert main(["--describe", "--dataset", "mnist", "--model", "node"]) == 0
    assert json.loads(capsys.readouterr().out) == found["node"]


def test_runs_are_printed_kept_and_not_repeated(main, capsys, tmp_path):
    out, plot, other = tmp_path / "runs.jsonl", tmp_path / "a.png", tmp_path / "b.png"
    line = [*SMALL, "--model", "hbnode", "--tolerances", "0.1", "0.01", "--out", str(out)]
    assert main([*line, "--json", "--plot", str(plot), "--plot-tolerances", str(other)]) == 0
    printed, shown = capsys.readouterr()
    run = json.loads(printed)
    assert (run["model"], run["status"], run["parameters"]) == ("hbnode", "success", 6258)
    assert run["images"].endswith("by seed 0; first 16 and 16 images")
    assert [row["tolerance"] for row in run["by_tolerance"]] == [0.1, 0.01]
    assert run["history"][0]["nfe_backward"] >= 7
    assert "efficacy" in shown and "solved at" in shown and "1/1" in shown
    assert plot.stat().st_size > 10_000 and other.stat().st_size > 10_000
    first = out.read_text()
    assert main([*line, "--quiet", "--root", "nowhere"]) == 0
    shown = capsys.readouterr()
    assert out.read_text() == first and "efficacy" in shown.out and shown.err == ""


def test_an_interrupted_run_resumes_to_the_same_result(main, capsys, tmp_path, monkeypatch):
    line = [*SMALL, "--model", "node", "--augment", "--quiet", "--json", "--batch-size", "8"]

    def run(epochs, *more):
        code = main([*line, "--epochs", str(epochs), *more])
        printed = capsys.readouterr().out
        return code, [r for text in printed.splitlines() for r in json.loads(text)["history"]]

    _, whole = run(2)
    keep = ["--checkpoint", str(tmp_path / "states"), "--resume"]
    train, calls = classification.ImageClassification.train_epoch, []

    def interrupted(self, on_batch):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(self, on_batch)

    monkeypatch.setattr(classification.ImageClassification, "train_epoch", interrupted)
    assert run(2, *keep) == (130, [])
    code, resumed = run(2, *keep)
    assert (code, len(calls)) == (0, 3)
    for one, other in zip(whole, resumed, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_an_interruption_of_the_counting_keeps_what_was_trained(main, monkeypatch, tmp_path):
    out, count = tmp_path / "runs.jsonl", classification.nfe_at_tolerance

    def interrupted(model, images, labels, tolerance, batch_size):
        if tolerance < 0.1:
            raise KeyboardInterrupt
        return count(model, images, labels, tolerance, batch_size)

    monkeypatch.setattr(command, "nfe_at_tolerance", interrupted)
    line = [*SMALL, "--model", "node", "--quiet", "--out", str(out), "--tolerances", "0.1"]
    assert main([*line, "0.01"]) == 130
    kept = json.loads(out.read_text())
    assert kept["tolerances"] == [row["tolerance"] for row in kept["by_tolerance"]] == [0.1]
    assert len(kept["history"]) == 1
    assert main(line) == 0
    assert len(out.read_text().splitlines()) == 1


@pytest.mark.parametrize(("solver", "least"), [("dopri5", 8), ("tsit5", 7), ("dormand_prince", 7)])
def test_a_step_backward_is_counted_whatever_the_solver(main, capsys, solver, least):
    assert main([*SMALL, "--model", "hbnode", "--solver", solver, "--json", "--quiet"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert (run["solver"], run["status"]) == (solver, "success")
    assert run["history"][0]["nfe_backward"] >= least


def test_digits_of_another_size_are_refused(main, monkeypatch, capsys):
    monkeypatch.setitem(command.IMAGE_SHAPES, "digits", (1, 28, 28))
    assert main([*SMALL, "--quiet"]) == 2
    assert "expected images (1, 28, 28) (got (1, 8, 8))" in capsys.readouterr().err


RECORD = bytes([3]) + bytes(3072)


def test_a_part_of_cifar_is_a_notice_with_the_numbers(main, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(command.IMAGE_SHAPES, "cifar10", (3, 1, 1))  # stops before the training
    folder = tmp_path / "CIFAR10" / "raw" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(4 * RECORD)
    (folder / "test_batch.bin").write_bytes(2 * RECORD)
    line = ["--dataset", "cifar10", "--root", str(tmp_path), "--model", "node"]
    assert main(line) == 2
    notice = capsys.readouterr().err.splitlines()[0]
    assert "notice: cifar10: 4 of 50,000 training and 2 of 10,000 test images" in notice


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "expected one or more of data_batch_1.bin to data_batch_5.bin in"),
        (RECORD[:-1], "expected records of 3073 bytes in data_batch_1.bin (got 3,072 bytes"),
        (bytes([10]) + RECORD[1:], "expected labels from 0 to 9 in data_batch_1.bin (got 10 in"),
    ],
    ids=["empty folder", "cut off", "label"],
)
def test_bad_files_of_cifar_are_one_line_and_exit_code_two(main, capsys, tmp_path, content, words):
    folder = tmp_path / "CIFAR10" / "raw" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "data_batch_1.bin").write_bytes(content)
        (folder / "test_batch.bin").write_bytes(RECORD)
    line = ["--dataset", "cifar10", "--root", str(tmp_path), "--model", "node", "--quiet"]
    assert main(line) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "cnn"], "'cnn'"),
        (["--train", "2000"], "expected 'train' between 1 and 1438 (got 2000)"),
        (["--plot", "nowhere/p.png"], "existing folder"),
        (["--plot-tolerances", "p.txt"], "file ending in one of"),
        (["--out", "notes.txt"], "notes.txt:1: not a valid record"),
        (["--checkpoint", "notes.txt"], "expected a folder"),
        (["--dataset", "mnist", "--root", "raw"], "refused raw/MNIST/raw/t10k-images"),
        (["--resume"], "--checkpoint"),
        (["--amp", "--tol", "1e-4"], "at least 0.001 with --amp (got 0.0001)"),
        (["--plot", "raw.png"], "expected a file or nothing at raw.png"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    main, capsys, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("my notes\n")
    raw = Path("raw/MNIST/raw")
    raw.mkdir(parents=True)
    Path("raw.png").mkdir()
    for name in ("images-idx3", "labels-idx1"):
        (raw / f"t10k-{name}-ubyte.gz").write_bytes(b"altered")
    assert main([*arguments, "--epochs", "1", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("image_classify: error: ")
    assert words in error
    assert Path("notes.txt").read_text() == "my notes\n"

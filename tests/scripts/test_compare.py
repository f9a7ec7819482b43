"""The comparison as its users run it."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from commands import main_of
from records_of import records_of

from grandpp.studies.low_label import compare as module

main = main_of(module.COMMAND, "compare")

BASE = records_of("grand-l", [0.50, 0.52, 0.61, 0.40, 0.55])
OTHER = records_of("gcn", [0.53, 0.56, 0.63, 0.45, 0.57])


def write(path, records):
    text = "".join(json.dumps(r) + "\n" for r in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def test_two_files_one_of_them_compressed_give_one_table(capsys, tmp_path):
    files = [write(tmp_path / "a.jsonl", BASE), write(tmp_path / "b.jsonl.gz", OTHER)]
    before = [Path(f).read_bytes() for f in files]
    assert main(files) == 0
    out = capsys.readouterr().out
    assert out.startswith("Cora with 1 label per class, protocol grand, test_accuracy")
    assert "better (p = 0.005)" in out
    assert [Path(f).read_bytes() for f in files] == before


def test_json_prints_one_line_per_row_and_the_table_to_stderr(capsys, tmp_path):
    path = write(tmp_path / "a.jsonl", [*BASE, *OTHER])
    arguments = [path, "--baseline", "gcn", "--metric", "val_accuracy"]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == table
    rows = [json.loads(line) for line in out.splitlines()]
    assert [r["model"] for r in rows] == ["gcn", "grand-l"]
    assert rows[1]["difference"] == pytest.approx(-0.032)
    assert rows[1]["verdict"] == "worse (p = 0.005)"


def test_filters_choose_what_is_compared_and_corrected_for(capsys, tmp_path):
    more = [*records_of("mlp", [0.1, 0.2, 0.3, 0.2, 0.1]), *records_of("gcn", [0.5], labels=2),
            *records_of("grand-l", [0.5], labels=2), *records_of("grand-l", [0.5], dataset="sbm"),
            *records_of("gcn", [0.5], protocol="no_val")]  # fmt: skip
    path = write(tmp_path / "a.jsonl", [*BASE, *OTHER, *more])
    arguments = ["--dataset", "Cora", "--labels", "1", "--models", "gcn", "--protocol", "grand"]
    assert main([path, *arguments, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["labels_per_class"], r["model"]) for r in rows] == [(1, "grand-l"), (1, "gcn")]
    assert rows[1]["holm_p"] == rows[1]["paired_p"]


def test_all_files_asked_for_are_written_whole(capsys, tmp_path):
    path = write(tmp_path / "a.jsonl", [*BASE, *OTHER])
    names = {"--csv": "t.csv", "--markdown": "t.md", "--latex": "t.tex", "--plot": "t.png"}
    arguments = [a for flag, name in names.items() for a in (flag, str(tmp_path / name))]
    assert main([path, *arguments]) == 0
    assert sorted(os.listdir(tmp_path)) == sorted(["a.jsonl", *names.values()])
    for name in ("t.md", "t.tex"):
        text = (tmp_path / name).read_text()
        assert text.index("verdict") < text.index("Unpaired t-scores") < text.index("Paired t-te")
    assert (tmp_path / "t.csv").read_text().count("\n") == 3
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


OTHER_SPLITS = [dict(r, split_digest="x") for r in OTHER]
TWO_HASHES = [dict(r, config_hash="abcdef012345") for r in BASE]


@pytest.mark.parametrize(
    ("records", "arguments", "words"),
    [
        ([*BASE, *OTHER_SPLITS], [], "identical splits"),
        ([*BASE, *TWO_HASHES], [], "abcdef012345"),
        ([*BASE, *TWO_HASHES], [], "--config"),
        ([*BASE, *records_of("gcn", [0.5], protocol="no_val")], [], "--protocol"),
        ([*BASE, dict(BASE[0], test_accuracy=0.9)], [], "0.5 and 0.9"),
        ([*BASE, {"a": 1}], [], ":6: not a valid record"),
        ([], [], "empty"),
        (BASE, ["--baseline", "gat"], "gat"),
        (BASE, ["--labels", "7"], "7"),
        (BASE, ["--labels", "0"], "positive integer"),
        (BASE, ["--metric", "loss"], "loss"),
        (BASE, ["nowhere.jsonl"], "nowhere.jsonl"),
        (BASE, ["--csv", "nowhere/a.csv"], "existing folder"),
        (BASE, ["--plot", "a.xyz"], "ending"),
        (BASE, ["--latex", "t", "--csv", "t"], "each other"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    records, arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.jsonl", records)
    assert main([path, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("compare: error: ")
    assert err.count("\n") == 1
    assert words in err
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_configuration_is_chosen_by_its_hash(capsys, tmp_path):
    path = write(tmp_path / "a.jsonl", [*BASE, *TWO_HASHES, *OTHER])
    assert main([path, "--config", "abcdef012345"]) == 0
    assert "grand-l" in capsys.readouterr().out


def test_an_input_is_never_written_over(capsys, tmp_path):
    path = write(tmp_path / "a.jsonl", [*BASE, *OTHER])
    content = Path(path).read_bytes()
    assert main([path, "--csv", path]) == 2
    assert Path(path).read_bytes() == content


def test_ctrl_c_is_exit_code_130(monkeypatch, capsys, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "compare_records", interrupted)
    assert main([write(tmp_path / "a.jsonl", BASE)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_teaches_the_columns(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("paired t", "Wilcoxon", "Holm", "d_z", "verdict"))

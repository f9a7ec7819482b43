"""The pages: from the packed records alone, the same text again, nothing left unsaid."""

from __future__ import annotations

import os
import random
import re

import pytest
from reproduced_of import around, reproduced_of

from grandpp.studies.thesis import LAYOUTS, file_of, results_pages, table_records, write_results
from grandpp.training.packing import pack_records


def pack(folder, records, table="4.3", protocol="grand"):
    file_of(folder, table, protocol, ".jsonl.gz").write_bytes(pack_records(records))


def records():
    return [*reproduced_of("grand-l", [0.5, 0.52, 0.61, 0.4, 0.55]),
            *reproduced_of("grand++-l", [0.53, 0.56, 0.63, 0.45, None])]  # fmt: skip


def page_of(folder, table="4.3", protocol="grand"):
    return results_pages(folder)[file_of(folder, table, protocol, ".md").name]


def test_a_page_has_command_numbers_verdicts_and_notes(tmp_path):
    pack(tmp_path, records())
    page = page_of(tmp_path)
    assert page.startswith("# Table 4.3: accuracy with few labels\n")
    assert "--table 4.3 --datasets Cora --models grand-l grand++-l --labels 1 --splits 5" in page
    assert "| grand-l | 1 | 52.53 +- 16.40 | 51.60 +- 7.70 |" in page
    assert "**Of 2 cells tested, 0 are better than in the thesis, 0 worse and 2 not " in page
    assert "(table-4.3.png)" in page
    assert "## Over identical splits" in page
    assert "Table 4.5, paired t-tests" in page
    assert "- 1 of 10 runs failed; failed runs are in no mean." in page
    assert "not known to be the same draws" in page
    assert "(--learn-beta of " in page
    assert "10 runs in 0.10 hours of training" in page
    assert "by commit c1, torch 2." in page
    assert "Not run of the thesis's models: gat, gcn, monet, sage." in page


def test_every_table_and_protocol_has_a_page_and_a_line_of_the_list_in_order(tmp_path):
    pack(tmp_path, reproduced_of("grand-nl", around(0.5), labels=5), "4.10")
    pack(tmp_path, reproduced_of("gcn", around(0.5), protocol="no_val"), protocol="no_val")
    pack(tmp_path, reproduced_of("gcn", around(0.5)))
    pages = results_pages(tmp_path)
    assert {name: text.splitlines()[0] for name, text in pages.items()} == {
        "table-4.3.md": "# Table 4.3: accuracy with few labels",
        "table-4.3-no_val.md": "# Table 4.3: accuracy with few labels, protocol no\\_val",
        "table-4.10.md": "# Table 4.10: nonlinear diffusion and rewiring with few labels",
        "RESULTS.md": "# Tables of the thesis, reproduced",
    }
    head, rule, *lines = re.findall(r"^\|.*\|$", pages["RESULTS.md"], re.M)
    assert head == "| table | contents | data sets | runs | outcome |"
    assert set(rule) == set("|- ")
    assert re.search(r"\| Of 1 cells tested, .* \|$", lines[0])
    line = re.compile(r"\| \[(.*?)\]\((.*?)\) \| (.*?) \| (.*?) \| (\d+) \|")
    links = [found.groups() for text in lines if (found := line.match(text))]
    assert links == [
        ("4.3", "table-4.3.md", "accuracy with few labels", "Cora", "20"),
        ("4.3", "table-4.3-no_val.md", "accuracy with few labels, protocol no\\_val", "Cora", "20"),
        ("4.10", "table-4.10.md", "nonlinear diffusion and rewiring with few labels", "Cora", "20"),
    ]
    assert "Over identical splits" not in pages["table-4.3.md"]  # gcn has no baseline


def test_accuracies_are_told_to_be_those_of_the_epoch_that_the_protocol_takes(tmp_path):
    pack(tmp_path, reproduced_of("gcn", around(0.5)))
    assert "at the end time and the best validation epoch" in page_of(tmp_path)
    for protocol, epoch in (("per_class_val", "the best validation"), ("no_val", "the last")):
        folder = tmp_path / protocol
        folder.mkdir()
        pack(folder, reproduced_of("gcn", around(0.5), protocol=protocol), protocol=protocol)
        assert f"at the end time and {epoch} epoch" in page_of(folder, protocol=protocol)


def test_the_page_is_the_same_again_and_follows_the_records(tmp_path):
    pack(tmp_path, records())
    pages = results_pages(tmp_path)
    assert results_pages(tmp_path) == pages
    changed = records()
    changed[0]["test_accuracy"] = 0.6
    pack(tmp_path, changed)
    assert "53.60 +- " in page_of(tmp_path)
    assert "51.60" not in page_of(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(ValueError, match="packed records"):
        results_pages(tmp_path)


FEW = LAYOUTS["4.3"]


RECORDS = [*reproduced_of("grand-l", around(0.65)), *reproduced_of("poisson", around(0.6))]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_all_files_are_there_and_the_same_again(tmp_path):
    first, second = tmp_path / "a" / "results", tmp_path / "b" / "results"
    write_results(first, FEW, RECORDS)
    shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
    write_results(second, FEW, shuffled)
    own = contents(first)
    assert list(own) == [
        "RESULTS.md", "table-4.3.csv", "table-4.3.jsonl.gz", "table-4.3.md", "table-4.3.png"
    ]  # fmt: skip
    page = own["table-4.3.md"].decode().replace(str(first), str(second))
    assert {**own, "table-4.3.md": page.encode()} == contents(second)
    write_results(first, FEW, table_records(first, "4.3", "grand"))
    assert contents(first) == own


def test_the_list_is_written_after_the_pages_that_it_names(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("grandpp.studies.thesis.page.write_whole",
                        lambda path, content: written.append((path, content)))  # fmt: skip
    pack(tmp_path, RECORDS)
    write_results(tmp_path, FEW, RECORDS)
    pages = results_pages(tmp_path)
    texts = [(tmp_path / name, text.encode()) for name, text in pages.items()]
    assert written[-2:] == texts
    assert [path.name for path, _ in written[-2:]] == ["table-4.3.md", "RESULTS.md"]


def test_nothing_is_written_without_records(tmp_path):
    with pytest.raises(ValueError, match="got none"):
        write_results(tmp_path / "results", FEW, [])
    assert os.listdir(tmp_path) == []

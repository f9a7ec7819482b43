"""Tables of comparisons, read back."""

from __future__ import annotations

import csv
import io
import re

import pytest
from records_of import records_of

from grandpp.studies.low_label import comparison_table
from grandpp.studies.low_label.comparison import compare
from grandpp.studies.low_label.comparison_tables import as_csv, as_row, paired_table, unpaired_table


def rows():
    records = []
    for dataset in ("Cora", "CiteSeer"):
        for k in (1, 2):
            place = {"dataset": dataset, "labels": k}
            records += records_of("b", [0.50, 0.52, 0.61, 0.40, 0.55], **place)
            records += records_of("a++-l", [0.53, 0.56, 0.63, 0.45, 0.57], **place)
    records += records_of("c", [0.1, None, 0.2, 0.1, 0.2])
    return compare(records, "b")


def markdown_cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert len({len(c) for c in cells}) == 1
    return [c for c in cells if set(c) != {"---"}]


def latex_cells(text):
    for begin, end in (("table", "table"), ("tabular", "tabular")):
        assert text.count(rf"\begin{{{begin}}}") == text.count(rf"\end{{{end}}}")
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    blocks = re.findall(r"\\begin\{tabular\}\{((?:l|p\{4cm\})+)\}(.*?)\\end", text, re.S)
    for columns, body in blocks:
        width = len(columns.replace("p{4cm}", "p"))
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        cells = [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]
        assert {len(c) for c in cells} == {width}
        yield [[c.strip() for c in line] for line in cells]


# The differences of a++-l are 3, 4, 2, 5 and 2 points: t = 5.49, p = 0.0054. Of the five p-values
# that of c is the smallest, so Holm's factor of the four others is 4.


def test_the_text_has_a_block_per_cell_and_says_what_is_missing():
    text = comparison_table(rows())
    assert text.startswith("Cora with 1 label per class, protocol grand, test_accuracy\nmodel ")
    assert text.count("protocol grand") == 4
    line = next(line for line in text.splitlines() if line.startswith("a++-l"))
    assert "54.80 +- 6.57" in line
    assert "+3.20 [+1.58, +4.82]" in line
    assert line.rstrip().endswith("better (p = 0.021)")
    assert "4 (1 failed)" in text
    assert "corrected for 5 comparisons" in " ".join(text.split())
    assert (
        "c on Cora with 1 label per class: 1 of 5 runs failed and are in no mean; "
        "1 of 5 splits are in no pair." in " ".join(text.split())
    )


def test_the_unpaired_table_has_the_form_of_thesis_table_4_4():
    head, *body = markdown_cells(unpaired_table(rows(), "markdown"))
    assert head == ["model", "#per class", "Cora", "CiteSeer"]
    assert [line[:2] for line in body] == [["a++-l", "1"], ["a++-l", "2"], ["c", "1"]]
    # Means 54.8 and 51.6; variances 43.2 and 59.3, each over 5 splits.
    assert body[0][2:] == ["0.71", "0.71"]
    assert body[2][2].startswith("**-")
    assert body[2][3] == "-"


def test_the_paired_table_has_the_form_of_thesis_table_4_5():
    head, first, *_ = markdown_cells(paired_table(rows(), "markdown"))
    assert head[:2] == ["Dataset", "#per class"]
    assert first == ["Cora", "1", "a++-l", "+3.20 +- 1.30", "5", "5.49", "0.005", "**0.021**"]


def test_latex_tables_parse_and_hold_the_same_numbers():
    (paired,) = latex_cells(paired_table(rows(), "latex"))
    assert paired[1] == ["Cora", "1", "a++-l", r"+3.20 $\pm$ 1.30", "5", "5.49", "0.005",
                         r"\textbf{0.021}"]  # fmt: skip
    (unpaired,) = latex_cells(unpaired_table(rows(), "latex"))
    assert unpaired[0] == ["model", r"\#per class", "Cora", "CiteSeer"]
    full = list(latex_cells(comparison_table(rows(), "latex")))
    assert [len(block) for block in full] == [4, 3, 3, 3]
    assert full[0][2][-1] == "better (p = 0.021)"


def test_markdown_of_every_cell_has_its_verdict():
    cells = markdown_cells(comparison_table(rows(), "markdown"))
    assert [c[-1] for c in cells[:3]] == ["verdict", "baseline", "better (p = 0.021)"]
    with pytest.raises(ValueError, match="'style'"):
        comparison_table(rows(), "html")


def test_csv_gives_every_value_back():
    own = rows()
    read = list(csv.DictReader(io.StringIO(as_csv(own))))
    assert len(read) == len(own)
    for line, row in zip(read, own, strict=True):
        expected = {k: "" if v is None else str(v) for k, v in as_row(row).items()}
        assert line == expected

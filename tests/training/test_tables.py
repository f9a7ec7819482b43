"""Three styles of one table."""

from __future__ import annotations

import pytest

from grandpp.training.tables import aligned, paragraph, styled

HEAD = ["model", "a_b (%)"]
ROWS = [["grand++-l", "-0.50 +- 1.00"], ["x & y|z", "**< 0.001**"]]


def test_text_is_aligned_and_stars_what_is_highlighted():
    lines = styled(HEAD, ROWS, "text", "title").splitlines()
    assert lines == [
        "title",
        "model      a_b (%)",
        "---------  -------------",
        "grand++-l  -0.50 +- 1.00",
        "x & y|z    < 0.001*",
    ]


def test_short_rows_are_filled_up_and_right_aligned_however_wide_a_cell_is():
    wide = "word " * 20 + "end"
    assert aligned(["a", "b c"], [["0.10"], [wide, "1e-3"]]).splitlines() == [
        f"{'a':>103}   b c",
        f"{'0.10':>103}     -",
        f"{wide}  1e-3",
    ]
    assert aligned(["a", "b"], []) == "a  b"


def test_markdown_escapes_what_would_break_the_table():
    lines = styled(HEAD, ROWS, "markdown", "title").splitlines()
    assert lines[2:] == [
        r"| model | a\_b (%) |",
        "| --- | --- |",
        "| grand++-l | -0.50 +- 1.00 |",
        r"| x & y\|z | **\< 0.001** |",
    ]


def test_latex_has_signs_and_escapes_and_leaves_hyphens_in_names():
    text = styled(HEAD, ROWS, "latex", "50 % of_it")
    assert r"\caption{50 \% of\_it}" in text
    assert r"grand++-l & $-$0.50 $\pm$ 1.00 \\" in text
    assert r"x \& y|z & \textbf{$<$ 0.001} \\" in text
    assert r"\begin{tabular}{ll}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_a_long_column_wraps_in_latex():
    assert r"{lp{4cm}}" in styled(HEAD, [["a", "word " * 10]], "latex", "t")


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="'style'"):
        styled(HEAD, ROWS, "html", "t")
    assert paragraph("a_b", "markdown") == r"a\_b"

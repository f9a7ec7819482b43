"""The check of a picture before the work that it shows."""

from __future__ import annotations

import pytest

from grandpp.training.figures import check_picture


def test_a_picture_that_could_not_be_saved_is_refused_at_once(tmp_path):
    check_picture(tmp_path / "fine.svg")
    with pytest.raises(ValueError, match="existing folder"):
        check_picture(tmp_path / "missing" / "a.png")
    with pytest.raises(ValueError, match=r"ending in one of .*png"):
        check_picture(tmp_path / "a.docx")

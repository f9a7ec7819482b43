"""Reading the Silverbox file."""

from __future__ import annotations

import os

import pytest
import torch

from grandpp.data import DatasetError, load_silverbox
from grandpp.data.errors import DatasetIntegrityError, DatasetNotFoundError

DATA = os.environ.get("GRANDPP_DATA")


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(root, text):
    folder = root / "Silverbox" / "raw"
    folder.mkdir(parents=True)
    (folder / "sb.csv").write_text(text)


@pytest.mark.parametrize("by", ["root", "environment"])
def test_voltages_are_read_and_scaled(tmp_path, monkeypatch, by):
    write(tmp_path, '"V1","V2",\n0.0057756,0.0093978,\n-0.25,1e-3,\n')
    if by == "environment":
        monkeypatch.setenv("GRANDPP_DATA", str(tmp_path))
    v1, v2 = load_silverbox(tmp_path if by == "root" else None, check_size=False)
    torch.testing.assert_close(v1, torch.tensor([0.57756, -25.0], dtype=torch.float64))
    torch.testing.assert_close(v2, torch.tensor([0.93978, 0.1], dtype=torch.float64))


def test_a_missing_file_is_one_sentence_with_the_folders(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=f"looked in {tmp_path}.*<folder>/Silverbox/raw"):
        load_silverbox(tmp_path)
    assert issubclass(DatasetNotFoundError, DatasetError)


@pytest.mark.parametrize("body", ["1,a,\n2,3,\n", "1\n2\n", "", "1,2,\n", "1,nan,\n2,3,\n"])
def test_a_broken_file_is_refused(tmp_path, body):
    write(tmp_path, '"V1","V2",\n' + body)
    with pytest.raises(DatasetIntegrityError, match=r"refused .*sb.csv: expected"):
        load_silverbox(tmp_path)


def test_a_file_cut_at_the_end_of_a_line_is_refused(tmp_path):
    write(tmp_path, '"V1","V2",\n1,2,\n3,4,\n')
    words = r"sb.csv: expected the 131072 rows of the published data \(got 2\)"
    with pytest.raises(DatasetIntegrityError, match=words):
        load_silverbox(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="GRANDPP_DATA is not set")
def test_the_real_file_has_its_published_length():
    v1, v2 = load_silverbox(DATA)
    assert v1.shape == v2.shape == (131_072,)
    assert float(v1[0]) == pytest.approx(0.57756)

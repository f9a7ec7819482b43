"""Downloads from a loopback server: what arrives, what is refused, and what stays behind."""

from __future__ import annotations

import pickle
import socket

import numpy as np
import pytest
import torch
from small_sets import Marker, fingerprint, zip_arxiv

from grandpp.data import DatasetIntegrityError, DatasetNotFoundError, load_dataset
from grandpp.data import download as download_module
from grandpp.data.digests import RAW_SETS

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens there


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["planetoid", "benchmark"])
def test_a_missing_set_is_downloaded_once_and_loads_like_a_local_one(
    name, request, serve, publish, cache
):
    small = request.getfixturevalue(name)
    publish(small.name, serve(small.raw))
    data = load_dataset(small.name, progress=False)
    assert files_below(cache) == sorted(file.name for file in RAW_SETS[small.name].files)
    local = load_dataset(small.name, small.raw.parent.parent)
    publish(small.name, NOWHERE)
    again = load_dataset(small.name)
    for other in (local, again):
        assert torch.equal(data.x, other.x)
        assert torch.equal(data.edge_index, other.edge_index)
        assert torch.equal(data.y, other.y)


def test_the_arxiv_archive_gives_its_tables_and_nothing_else(
    arxiv, serve, publish, cache, tmp_path
):
    served = tmp_path / "served"
    served.mkdir()
    zip_arxiv(arxiv.raw, served / "arxiv.zip")
    publish(arxiv.name, serve(served) + "arxiv.zip")
    data = load_dataset("ogbn-arxiv", progress=False)
    np.testing.assert_allclose(data.x.numpy(), arxiv.x)
    assert files_below(cache) == sorted(file.name for file in RAW_SETS[arxiv.name].files)
    assert not list(tmp_path.rglob("outside.csv.gz"))


@pytest.mark.parametrize("content", [b"no archive at all", None])
def test_an_archive_that_is_none_or_lacks_a_table_is_refused(
    content, arxiv, serve, publish, cache, tmp_path
):
    served = tmp_path / "served"
    served.mkdir()
    if content is None:
        zip_arxiv(arxiv.raw, served / "arxiv.zip", top="elsewhere/")
    else:
        (served / "arxiv.zip").write_bytes(content)
    publish(arxiv.name, serve(served) + "arxiv.zip")
    with pytest.raises(DatasetIntegrityError, match=r"arxiv\.zip: expected a zip archive"):
        load_dataset("ogbn-arxiv", progress=False)
    assert files_below(cache) == []


def test_a_downloaded_pickle_that_would_run_code_is_refused_kept_aside_and_never_executed(
    planetoid, serve, publish, cache, tmp_path
):
    good = (planetoid.raw / "ind.cora.allx").read_bytes()
    (planetoid.raw / "ind.cora.allx").write_bytes(pickle.dumps(Marker(tmp_path / "marker")))
    publish("Cora", serve(planetoid.raw))
    with pytest.raises(DatasetIntegrityError, match=r"ind\.cora\.allx\.rejected"):
        load_dataset("Cora", progress=False)
    assert not (tmp_path / "marker").exists()
    assert "ind.cora.allx.rejected" in files_below(cache)
    assert "ind.cora.allx" not in files_below(cache)
    (planetoid.raw / "ind.cora.allx").write_bytes(good)
    assert load_dataset("Cora", progress=False).num_nodes == 560


def test_a_download_never_writes_into_the_root(planetoid, serve, publish, tmp_path):
    root = tmp_path / "root"
    (root / "Cora" / "raw").mkdir(parents=True)
    (root / "Cora" / "raw" / "ind.cora.x").write_bytes(b"only one file")
    before = fingerprint(root)
    publish("Cora", serve(planetoid.raw))
    assert load_dataset("Cora", root, progress=False).num_nodes == 560
    assert fingerprint(root) == before


@pytest.mark.parametrize("name", ["Cora", "Photo", "ogbn-arxiv"])
def test_no_files_and_no_server_give_one_sentence_and_leave_no_partial_file(
    name, publish, cache, tmp_path
):
    publish(name, NOWHERE)
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset(name, tmp_path / "root", progress=False)
    message = str(caught.value)
    assert f"data set {name} was not found" in message
    assert str(tmp_path / "root") in message
    assert str(cache) in message
    assert "Connection refused" in message
    assert "connect to the network, or put its raw files into" in message
    assert "\n" not in message
    assert files_below(cache) == []


def test_a_file_the_server_does_not_have_is_reported_with_its_answer(
    planetoid, serve, publish, cache
):
    (planetoid.raw / "ind.cora.graph").unlink()
    publish("Cora", serve(planetoid.raw))
    with pytest.raises(DatasetNotFoundError, match="the server answered 404"):
        load_dataset("Cora", progress=False)
    assert not [name for name in files_below(cache) if "graph" in name or "partial" in name]


def test_a_server_that_never_answers_is_given_up_and_the_socket_default_restored(
    publish, monkeypatch
):
    monkeypatch.setattr(download_module, "TIMEOUT_SECONDS", 0.2)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publish("Cora", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(DatasetNotFoundError, match="timed out"):
            load_dataset("Cora", progress=False)
    assert socket.getdefaulttimeout() == before


def test_a_cache_that_cannot_be_written_is_reported_in_the_same_sentence(tmp_path, publish):
    (tmp_path / "cache").write_text("a file where the folder should be")
    publish("Cora", NOWHERE)
    with pytest.raises(DatasetNotFoundError, match="Not a directory"):
        load_dataset("Cora", progress=False)


def test_the_progress_bar_shows_only_if_wanted(benchmark, serve, publish, cache, capfd):
    publish("Photo", serve(benchmark.raw))
    load_dataset("Photo", progress=False)
    assert capfd.readouterr() == ("", "")
    (cache / "Photo" / "raw" / "amazon_electronics_photo.npz").unlink()
    load_dataset("Photo")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "100%" in shown.err

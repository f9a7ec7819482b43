"""Folders, digests, and files that differ from the published ones."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import subprocess

import pytest
from small_sets import Marker, fingerprint

from grandpp.data import DatasetIntegrityError, load_dataset
from grandpp.data.digests import RAW_SETS, RawFile
from grandpp.data.files import git_blob_id, missing_files, read_verified, search_folders

UNPICKLED = [
    (name, file) for name, raw in RAW_SETS.items() if not raw.archive_folder for file in raw.files
]


def test_folders_are_searched_in_the_order_root_environment_cache(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path / "env"))
    assert search_folders(tmp_path / "root") == [tmp_path / "root", tmp_path / "env", cache]
    assert search_folders(None) == [tmp_path / "env", cache]
    monkeypatch.delenv("GRANDPP_DATA")
    assert search_folders(None) == [cache]


def test_a_folder_given_twice_is_searched_once(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path))
    assert search_folders(str(tmp_path)) == [tmp_path, cache]


def test_without_xdg_the_cache_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert search_folders(None) == [tmp_path / ".cache" / "grandpp"]


def test_every_file_that_is_not_plain_text_has_a_digest():
    assert len(UNPICKLED) == 27
    for name, file in UNPICKLED:
        assert len(file.digest) in (40, 64), f"{name} {file.name}"
        int(file.digest, 16)


def test_the_git_blob_id_is_the_one_git_computes(tmp_path):
    # The empty blob's name is the same in every git repository.
    assert git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    if shutil.which("git"):
        (tmp_path / "file").write_bytes(b"some\0bytes\n")
        command = ["git", "hash-object", "--no-filters", str(tmp_path / "file")]
        named = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        assert git_blob_id(b"some\0bytes\n") == named


@pytest.mark.parametrize(
    "digest", [hashlib.sha256(b"right").hexdigest(), git_blob_id(b"right"), ""]
)
def test_a_file_with_the_right_digest_is_read(tmp_path, digest):
    (tmp_path / "f").write_bytes(b"right")
    assert read_verified(tmp_path, (RawFile("f", digest),)) == {"f": b"right"}


@pytest.mark.parametrize("digest", [hashlib.sha256(b"right").hexdigest(), git_blob_id(b"right")])
def test_a_file_with_another_digest_is_named_and_refused(tmp_path, digest):
    (tmp_path / "f").write_bytes(b"wrong")
    with pytest.raises(DatasetIntegrityError) as caught:
        read_verified(tmp_path, (RawFile("f", digest),))
    assert str(tmp_path / "f") in str(caught.value)
    assert f"expected {'SHA-256' if len(digest) == 64 else 'git blob id'} {digest}" in str(
        caught.value
    )
    assert (tmp_path / "f").read_bytes() == b"wrong"


def test_missing_files_are_listed(tmp_path):
    (tmp_path / "here").touch()
    (tmp_path / "folder").mkdir()
    files = (RawFile("here"), RawFile("gone"), RawFile("folder"))
    assert missing_files(tmp_path, files) == ["gone", "folder"]


def test_an_altered_file_in_the_root_is_refused_and_left_as_it_is(planetoid):
    bad = planetoid.raw / "ind.cora.tx"
    bad.write_bytes(bad.read_bytes() + b"x")
    root = planetoid.raw.parent.parent
    before = fingerprint(root)
    with pytest.raises(DatasetIntegrityError, match=r"refused .*ind\.cora\.tx: expected SHA-256"):
        load_dataset("Cora", root)
    assert fingerprint(root) == before


def test_an_altered_file_in_the_cache_is_refused_and_kept_aside(planetoid, cache):
    shutil.copytree(planetoid.raw, cache / "Cora" / "raw")
    bad = cache / "Cora" / "raw" / "ind.cora.graph"
    bad.write_bytes(b"altered")
    with pytest.raises(DatasetIntegrityError, match=r"kept as ind\.cora\.graph\.rejected"):
        load_dataset("Cora", download=False)
    assert not bad.exists()
    assert bad.with_name("ind.cora.graph.rejected").read_bytes() == b"altered"


def test_a_pickle_that_would_run_code_is_refused_and_never_executed(planetoid, tmp_path):
    marker = tmp_path / "marker"
    evil = pickle.dumps(Marker(marker))
    pickle.loads(evil).close()
    assert marker.exists(), "the pickle of this test must be one that runs code"
    marker.unlink()
    (planetoid.raw / "ind.cora.graph").write_bytes(evil)
    with pytest.raises(DatasetIntegrityError, match=r"ind\.cora\.graph"):
        load_dataset("Cora", planetoid.raw.parent.parent)
    assert not marker.exists()


@pytest.mark.realdata
def test_the_real_files_of_the_planetoid_sets_have_the_published_digests():
    for name in ("Cora", "CiteSeer", "PubMed"):
        raw = RAW_SETS[name]
        (folder,) = (path for path in search_folders(None) if (path / raw.folder).is_dir())
        assert len(read_verified(folder / raw.folder, raw.files)) == 8

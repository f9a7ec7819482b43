"""An npz file is known by its arrays, whatever its bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_sets import write_benchmark

from grandpp.data import DatasetIntegrityError, load_dataset
from grandpp.data.digests import RAW_SETS, RawFile
from grandpp.data.files import git_blob_id
from grandpp.data.npz_digest import ARRAYS, npz_digest


@pytest.fixture
def small(tmp_path):
    return write_benchmark(tmp_path / "data" / "Photo" / "raw")


def path_of(small):
    (path,) = small.raw.iterdir()
    return path


def arrays_of(small):
    with np.load(path_of(small), allow_pickle=False) as found:
        return {name: found[name] for name in ARRAYS}


def register(monkeypatch, file):
    known = RAW_SETS["Photo"]
    monkeypatch.setitem(RAW_SETS, "Photo", type(known)(known.folder, known.url, (file,)))


def test_the_digest_is_that_of_names_and_values_in_order(small):
    by_hand = hashlib.sha256()
    for name, value in arrays_of(small).items():
        by_hand.update(name.encode())
        by_hand.update(np.ascontiguousarray(value, "<f4" if "_data" in name else "<i8").tobytes())
    assert npz_digest(path_of(small).read_bytes()) == by_hand.hexdigest()


def test_packing_types_and_the_order_of_columns_do_not_matter_and_values_do(small):
    path, arrays = path_of(small), arrays_of(small)
    known = npz_digest(path.read_bytes())
    start, stop = arrays["attr_indptr"][:2]
    assert stop - start > 1
    mixed = {k: v.copy() for k, v in arrays.items()}
    mixed["attr_data"][start] = 5.0
    np.savez(path, **mixed)
    assert npz_digest(path.read_bytes()) != known
    for name in ("attr_data", "attr_indices"):
        mixed[name] = arrays[name].copy()
        mixed[name][start:stop] = arrays[name][start:stop][::-1]
    mixed["adj_data"] = arrays["adj_data"].astype(np.float64)
    mixed["labels"] = arrays["labels"].astype(np.int32)
    np.savez_compressed(path, more=np.zeros(3), **dict(reversed(mixed.items())))
    assert npz_digest(path.read_bytes()) == known


def test_a_re_packed_set_loads_and_a_changed_one_does_not(small, monkeypatch):
    small.expect(monkeypatch, 5, 4)
    path, arrays = path_of(small), arrays_of(small)
    published = RawFile(path.name, git_blob_id(path.read_bytes()), npz_digest(path.read_bytes()))
    register(monkeypatch, published)
    expected = load_dataset("Photo", small.raw.parent.parent, download=False)
    np.savez_compressed(path, **arrays)
    assert git_blob_id(path.read_bytes()) != published.digest
    found = load_dataset("Photo", small.raw.parent.parent, download=False)
    assert found.x.equal(expected.x)
    np.savez(path, **(arrays | {"labels": arrays["labels"][::-1].copy()}))
    with pytest.raises(DatasetIntegrityError, match=rf"or arrays with SHA-256 {published.arrays}"):
        load_dataset("Photo", small.raw.parent.parent, download=False)
    path.write_bytes(b"PK something else")
    with pytest.raises(DatasetIntegrityError, match="no such arrays"):
        load_dataset("Photo", small.raw.parent.parent, download=False)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.array([None, 1], dtype=object)},
        {"attr_indptr": np.array([0, 99])},
        {"attr_shape": np.array([6])},
        {"adj_indices": np.array(["a"])},
    ],
)
def test_a_file_without_the_arrays_has_no_digest(small, change):
    path = path_of(small)
    np.savez(path, **(arrays_of(small) | change))
    assert npz_digest(path.read_bytes()) is None
    for content in (b"", b"text", path.read_bytes()[:300]):
        assert npz_digest(content) is None

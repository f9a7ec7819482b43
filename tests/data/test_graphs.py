"""Graphs by name: the form they come in, and the table of sizes."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from small_sets import fingerprint
from torch_geometric.utils import contains_self_loops, is_undirected

from grandpp.data import DATASETS, DatasetIntegrityError, DatasetNotFoundError, load_dataset
from grandpp.data.digests import RAW_SETS
from grandpp.data.graphs import EXPECTED_SIZES, GraphSize


def test_all_sets_of_the_study_are_offered_and_all_file_sets_have_a_known_size():
    assert DATASETS == (
        "Cora",
        "CiteSeer",
        "PubMed",
        "CoauthorCS",
        "Computers",
        "Photo",
        "ogbn-arxiv",
        "KarateClub",
        "sbm",
    )
    assert set(EXPECTED_SIZES) == set(DATASETS) - {"sbm"}


@pytest.mark.parametrize("name", ["cora ", "Reddit", "", None])
def test_an_unknown_name_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match=r"choose one of Cora, CiteSeer, .*KarateClub, sbm"):
        load_dataset(name)


@pytest.mark.parametrize("name", ["KarateClub", "karateclub", "KARATECLUB"])
def test_names_are_found_in_any_case(name):
    data = load_dataset(name)
    assert (data.name, data.num_classes, data.num_nodes) == ("KarateClub", 4, 34)
    assert "train_mask" not in data


@pytest.mark.parametrize(
    ("fixture", "nodes", "edges"), [("planetoid", 560, 560), ("benchmark", 5, 4), ("arxiv", 6, 5)]
)
def test_loaded_graphs_are_undirected_without_loops_and_connected(fixture, nodes, edges, request):
    small = request.getfixturevalue(fixture)
    data = load_dataset(small.name, small.raw.parent.parent)
    assert is_undirected(data.edge_index, num_nodes=nodes)
    assert not contains_self_loops(data.edge_index)
    assert data.edge_index.unique(dim=1).size(1) == data.edge_index.size(1) == 2 * edges
    assert data.x.size(0) == data.y.size(0) == nodes
    reached = torch.zeros(nodes, dtype=torch.bool)
    reached[0] = True
    for _ in range(nodes):
        reached[data.edge_index[1, reached[data.edge_index[0]]]] = True
    assert reached.all()
    assert set(data.keys()) == {"x", "edge_index", "y", "name", "num_classes"}


@pytest.mark.parametrize("fixture", ["planetoid", "benchmark"])
def test_rows_of_features_sum_to_one(fixture, request):
    small = request.getfixturevalue(fixture)
    data = load_dataset(small.name, small.raw.parent.parent)
    torch.testing.assert_close(data.x.sum(dim=1), torch.ones(data.num_nodes))


def test_the_features_of_arxiv_stay_as_published(arxiv):
    data = load_dataset("ogbn-arxiv", arxiv.raw.parent.parent)
    torch.testing.assert_close(data.x, torch.from_numpy(arxiv.x))


def test_the_number_of_classes_and_the_name_survive_moving_and_copying(benchmark):
    data = load_dataset("Photo", benchmark.raw.parent.parent)
    for other in (data.to("cpu"), copy.copy(data), copy.deepcopy(data), data.clone()):
        assert (other.num_classes, other.name) == (3, "Photo")


@pytest.mark.parametrize("field", ["classes", "features", "nodes", "edges"])
@pytest.mark.parametrize("fixture", ["planetoid", "arxiv"])
def test_a_graph_of_another_size_is_refused(fixture, field, request, monkeypatch):
    small = request.getfixturevalue(fixture)
    right = EXPECTED_SIZES[small.name]
    wrong = {**vars(right), field: getattr(right, field) + 1}
    monkeypatch.setitem(EXPECTED_SIZES, small.name, GraphSize(**wrong))
    with pytest.raises(DatasetIntegrityError, match=rf"{field}={wrong[field]}.*got .*{field}="):
        load_dataset(small.name, small.raw.parent.parent)


def test_loading_changes_nothing_in_the_root_even_if_it_is_read_only(planetoid):
    root = planetoid.raw.parent.parent
    before = fingerprint(root)
    folders = [planetoid.raw, planetoid.raw.parent, root]
    for folder in folders:
        folder.chmod(0o555)
    try:
        load_dataset("Cora", root)
        assert fingerprint(root) == before
    finally:
        for folder in reversed(folders):
            folder.chmod(0o755)


def test_a_processed_folder_in_the_root_is_not_read(planetoid):
    processed = planetoid.raw.parent / "processed"
    processed.mkdir()
    (processed / "data.pt").write_bytes(b"stale or hostile")
    assert load_dataset("Cora", planetoid.raw.parent.parent).num_nodes == 560


def test_the_environment_names_a_folder_too(benchmark, monkeypatch):
    monkeypatch.setenv("GRANDPP_DATA", str(benchmark.raw.parent.parent))
    assert load_dataset("photo", download=False).num_nodes == 5


def test_a_root_without_the_set_is_passed_over(benchmark, monkeypatch, tmp_path):
    monkeypatch.setenv("GRANDPP_DATA", str(benchmark.raw.parent.parent))
    assert load_dataset("Photo", tmp_path / "empty", download=False).num_nodes == 5


def test_an_incomplete_folder_is_not_used_and_the_message_says_so(planetoid, cache):
    (planetoid.raw / "ind.cora.ty").unlink()
    root = planetoid.raw.parent.parent
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset("Cora", root, download=False)
    message = str(caught.value)
    assert f"{root} (incomplete: no ind.cora.ty)" in message
    assert str(cache) in message
    assert "downloading is switched off" in message


def test_the_embedded_set_takes_a_size_and_other_sets_take_none():
    data = load_dataset("SBM", num_nodes=50, num_edges=80, num_features=20, words_per_node=5.0)
    assert (data.num_nodes, data.edge_index.size(1), data.name) == (50, 160, "sbm")
    with pytest.raises(TypeError, match=r"KarateClub takes no further options \(got num_nodes\)"):
        load_dataset("KarateClub", num_nodes=50)


@pytest.mark.realdata
@pytest.mark.parametrize("name", [name for name in RAW_SETS if name != "ogbn-arxiv"])
def test_the_real_sets_have_the_published_sizes(name):
    root = Path(os.environ["GRANDPP_DATA"])
    if not (root / RAW_SETS[name].folder).is_dir():
        pytest.skip(f"GRANDPP_DATA has no {name}")
    data = load_dataset(name, download=False)
    size = EXPECTED_SIZES[name]
    assert (data.num_classes, data.num_features) == (size.classes, size.features)
    assert (data.num_nodes, data.edge_index.size(1)) == (size.nodes, 2 * size.edges)
    assert data.x.dtype == torch.float32
    assert (data.x.layout == torch.sparse_csr) is (name == "CoauthorCS")
    values = data.x.values() if name == "CoauthorCS" else data.x
    assert bool(torch.isfinite(values).all())
    sums = data.x @ torch.ones(size.features, 1)
    wordless = (sums == 0).sum()
    assert int(wordless) <= 15
    torch.testing.assert_close(sums[sums > 0], torch.ones(size.nodes - int(wordless)))
    assert int(torch.bincount(data.y).min()) > 0
    assert not (root / name / "processed").exists()

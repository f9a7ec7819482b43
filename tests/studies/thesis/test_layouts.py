"""What each table is made of."""

from __future__ import annotations

import pytest

from grandpp.studies.low_label.zoo import ZOO
from grandpp.studies.thesis import LAYOUTS, TABLES, TEST_LAYOUTS
from grandpp.studies.thesis.printed import ModelVariant


def test_the_tables_are_those_of_chapter_4_but_for_ogbn_arxiv():
    assert TABLES == ("4.1", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "4.9", "4.10")


def test_depths_are_the_thesiss_na_included():
    layout = LAYOUTS["4.1"]
    assert layout.depths("Photo", ModelVariant("grand-l")) == (1, 4, 16, 32, 64, 128, 256)
    assert layout.depths("Photo", ModelVariant("gcn")) == (1, 4, 16, 32)
    assert layout.depths("sbm", ModelVariant("hb-l")) == (1, 4, 16, 32, 64, 128, 256)
    assert layout.depths("sbm", ModelVariant("gcnii")) == (1, 4, 16, 32)
    assert LAYOUTS["4.9"].depths("CiteSeer", ModelVariant("grand-nl")) == (1, 16, 64, 128)
    assert LAYOUTS["4.3"].depths("Cora", ModelVariant("grand-l")) == (None,)
    with pytest.raises(ValueError, match="gcn"):
        LAYOUTS["4.9"].depths("Cora", ModelVariant("gcn"))


def test_labels_are_those_of_the_cells():
    assert LAYOUTS["4.3"].labels == (1, 2, 5, 10, 20)
    assert LAYOUTS["4.1"].labels == (20,)
    assert TEST_LAYOUTS["4.4"].labels == (1, 2, 5)
    assert (TEST_LAYOUTS["4.5"].labels, TEST_LAYOUTS["4.5"].datasets) == ((1, 2), ("Cora",))


def test_models_of_43_are_diffusion_and_what_stands_beside_it():
    names = [variant.name for variant in LAYOUTS["4.3"].choose()]
    assert names == ["grand-l", "grand++-l", "grand++-cluster-l", "gcn", "poisson"]
    assert [a.name for a in LAYOUTS["4.4"[:2] + "3"].choose(["gat", "gat"])] == ["gat"]


def test_a_model_this_version_lacks_is_refused_politely(monkeypatch):
    monkeypatch.delitem(ZOO, "grand-nl-rw", raising=False)
    monkeypatch.delitem(ZOO, "grand++-nl-rw", raising=False)
    with pytest.raises(ValueError) as error:
        LAYOUTS["4.10"].choose()
    assert "does not have grand-nl-rw, grand++-nl-rw" in str(error.value)
    assert "--models grand-nl grand++-nl" in str(error.value)


def test_both_rewirings_of_one_name_are_run(monkeypatch):
    monkeypatch.setitem(ZOO, "grand-nl-rw", ZOO["grand-nl"])
    names = [variant.name for variant in LAYOUTS["4.6"].choose(["grand-nl-rw", "gcn"])]
    assert names == ["grand-nl-rw (gdc)", "grand-nl-rw (two_hop)", "gcn"]
    record = {"model": "grand-nl-rw", "config": {"rewiring": "gdc"}}
    assert LAYOUTS["4.6"].variant_of(record) == ModelVariant("grand-nl-rw", "gdc")
    assert LAYOUTS["4.10"].variant_of(record) == ModelVariant("grand-nl-rw")


def test_a_model_without_depth_has_no_place_in_a_table_of_depths():
    with pytest.raises(ValueError, match=r"with a depth.*poisson"):
        LAYOUTS["4.1"].choose(["poisson"])
    with pytest.raises(ValueError, match="with a depth"):
        LAYOUTS["4.1"].depth_of({"model": "gcn"})

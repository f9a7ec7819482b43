"""One epoch of every family of models on each real graph of the thesis, small and quick."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from operations import LargestTensor

from grandpp.data import load_dataset, low_label_split
from grandpp.data.digests import RAW_SETS
from grandpp.studies.low_label.zoo import MODELS, tuned_run
from grandpp.training import train_run

DATA = Path(os.environ.get("GRANDPP_DATA", "nowhere"))
GRAPHS = ("Cora", "CiteSeer", "PubMed", "CoauthorCS", "Computers", "Photo")
SMALL = {
    "epochs": 1,
    "hidden": 4,
    "heads": 1,
    "attention_channels": 4,
    "time": 0.5,
    "layers": 2,
    "kernels": 1,
    "hops": 2,
    "lanczos_steps": 3,
}
ALIKE = ("hb-nl", "hb++-nl", "ghb-nl", "adam-nl", "grand++-nl", "grand++-cluster-nl", "hb++-l")
FAMILIES = [name for name in MODELS if name not in ALIKE and not name.endswith("-rw")]


@pytest.mark.realdata
@pytest.mark.parametrize("name", GRAPHS)
def test_an_epoch_of_every_family_is_finite(name):
    if not (DATA / RAW_SETS[name].folder).is_dir():
        pytest.skip(f"GRANDPP_DATA has no {name}")
    data = low_label_split(load_dataset(name, DATA, download=False), 5, seed=0)
    for model in FAMILIES:
        result = train_run(tuned_run(name, model, 5, **SMALL), data, torch.device("cpu"))
        assert (result.status, result.message) == ("success", ""), model
        assert 0 <= result.test_accuracy <= 1, model
        assert 0 <= result.val_accuracy <= 1, model


@pytest.mark.realdata
def test_features_of_coauthorcs_are_never_held_dense():
    if not (DATA / RAW_SETS["CoauthorCS"].folder).is_dir():
        pytest.skip("GRANDPP_DATA has no CoauthorCS")
    with LargestTensor() as seen:
        data = low_label_split(load_dataset("CoauthorCS", DATA, download=False), 5, seed=0)
        for model in ("grand-l", "gcn", "grand++-cluster-l"):
            train_run(tuned_run("CoauthorCS", model, 5, **SMALL), data, torch.device("cpu"))
    assert seen.largest < 18333 * 6805 / 10

"""Settings and runs: what names them, and what they refuse."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from grandpp.models import gcn
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import build_optimizer
from grandpp.training.settings import (
    OPTIMIZERS,
    ModelSettings,
    Run,
    TrainedSettings,
    constant,
    hash_choices,
)


@dataclass(frozen=True, kw_only=True)
class Toy(TrainedSettings):
    """A model with a choice and a constant."""

    size: int = 8
    kind: str = constant("plain")

    tuned_rows: ClassVar = {"Cora": {"size": 16, "lr": 0.5}}

    def build(self, in_channels, out_channels):
        return gcn(in_channels, self.size, out_channels, 0.5)


@dataclass(frozen=True, kw_only=True)
class Wider(Toy):
    """The same model when a choice was added that old runs do not make."""

    weather: str | None = None


class Untrained(ModelSettings):
    """A model without training."""

    def build(self, in_channels, out_channels):
        raise NotImplementedError


def run(settings, **names):
    return Run(
        **{"dataset": "Cora", "model": "toy", "labels_per_class": 1, **names}, settings=settings
    )


def test_the_hash_names_every_choice_but_split_and_seed():
    toy = run(Toy())
    assert toy.on(5, 7).config_hash == toy.config_hash
    assert toy.on(5, 7).key != toy.key
    for change in ({"size": 9}, {"epochs": 7}, {"features": "rows"}):
        assert toy.with_settings(**change).config_hash != toy.config_hash
    assert run(Toy(), protocol="no_val").config_hash != toy.config_hash
    assert hash_choices(toy.choices()) == toy.config_hash


def test_a_new_choice_leaves_the_hashes_of_runs_without_it_alone():
    assert run(Wider()).config_hash == run(Toy()).config_hash
    assert run(Wider(weather="fine")).config_hash != run(Toy()).config_hash


def test_constants_are_no_choice():
    assert run(Toy(kind="other")).config_hash == run(Toy()).config_hash
    assert "kind" not in Toy.choice_names() and "kind" not in Toy().choices()


def test_tuned_values_stand_before_defaults_and_after_what_is_given():
    assert (Toy.tuned("Cora").size, Toy.tuned("Cora").lr, Toy.tuned("sbm").size) == (16, 0.5, 8)
    assert Toy.tuned("Cora", size=3).size == 3


def test_a_model_without_training_has_no_epochs_and_no_choice_of_training():
    assert Untrained().choices() == {"epochs": 0}
    assert Untrained().patience is Untrained().rewiring is Untrained().best_time is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": -1.0}, "'lr' to be positive"),
        ({"epochs": 0}, "'epochs' to be positive"),
        ({"weight_decay": float("nan")}, "'weight_decay'"),
        ({"input_dropout": 1.0}, "'input_dropout' in"),
        ({"optimizer": "SGD"}, "Adam.*SGD"),
        ({"features": "raw"}, "rows, binary.*raw"),
        ({"cluster_labels": -1.0}, "'cluster_labels'"),
    ],
)
def test_values_out_of_range_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(Toy(), **change)
    with pytest.raises(ValueError, match="labels_per_class"):
        run(Toy(), labels_per_class=0)


def test_the_optimiser_is_the_one_named_and_trains_what_is_to_be_trained():
    config = tuned_run("Cora", "grand-l", 20)
    model = config.settings.build(12, 3)
    model.decoder.bias.requires_grad_(False)
    optimizer = build_optimizer(config, model)
    assert type(optimizer).__name__ == config.settings.optimizer == "Adamax"
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (
        config.settings.lr,
        config.settings.weight_decay,
    )
    trained = {id(p) for p in group["params"]}
    assert trained == {id(p) for p in model.parameters()} - {id(model.decoder.bias)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stepping_all_parameters_at_once_takes_the_same_steps(name):
    config = tuned_run("Cora", "grand-l", 20, hidden=8, attention_channels=8)
    config = config.with_settings(optimizer=name)
    torch.manual_seed(0)
    model = config.settings.build(12, 3)
    twin = copy.deepcopy(model)
    ours, settings = build_optimizer(config, model), config.settings
    plain = getattr(torch.optim, name)(
        twin.parameters(),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        foreach=False,
    )
    for _ in range(6):
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours.step()
        plain.step()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)

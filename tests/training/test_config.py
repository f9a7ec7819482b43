"""The identity of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from grandpp.training import RunConfig, tuned_config, with_run


@dataclass(frozen=True)
class Wider(RunConfig):
    """Runs as they will be when a choice was added that they do not make."""

    weather: str | None = None


def test_hash_names_every_choice_but_split_and_seed():
    config = tuned_config("Cora", "grand++-l", 1)
    assert with_run(config, 5, 7).config_hash == config.config_hash
    assert with_run(config, 5, 7).key != config.key
    for change in ({"time": 3.0}, {"source_gain": 0.5}, {"epochs": 7}, {"layer_norm": False}):
        assert tuned_config("Cora", "grand++-l", 1, **change).config_hash != config.config_hash


def test_a_new_field_leaves_the_hashes_of_runs_without_it_alone():
    for model in ("grand++-l", "gcn", "poisson"):
        config = tuned_config("Cora", model, 1)
        assert Wider(**asdict(config)).config_hash == config.config_hash
        assert Wider(**asdict(config), weather="fine").config_hash != config.config_hash

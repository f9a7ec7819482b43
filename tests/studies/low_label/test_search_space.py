"""What is searched of a model's settings."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from grandpp.studies.low_label.search_space import (
    Choice,
    Parameter,
    Range,
    parse_parameter,
    search_space,
    start_value,
)
from grandpp.studies.low_label.tune import TUNABLE
from grandpp.studies.low_label.zoo import tuned_run


def settings_of(model, dataset="Cora"):
    return tuned_run(dataset, model, 1).settings


def sampled(dimension, draw):
    if isinstance(dimension, Choice):
        return draw.choice(dimension.values)
    if dimension.integer:
        return draw.choice([int(dimension.low), int(dimension.high)])
    return draw.choice([dimension.low, dimension.high])


@pytest.mark.parametrize("model", TUNABLE)
def test_present_settings_are_inside_and_every_combination_is_one_that_the_model_takes(model):
    draw = random.Random(0)
    for dataset in ("Cora", "CiteSeer", "CoauthorCS", "ogbn-arxiv", "mine"):
        settings = settings_of(model, dataset)
        space = search_space(settings, (), ())
        for name, dimension in space.items():
            value = start_value(settings, name)
            assert value in dimension or (name == "weight_decay" and value == 0)
        for _ in range(20):
            values = {name: sampled(dimension, draw) for name, dimension in space.items()}
            replace(settings, **values)


def test_what_is_searched_is_what_the_model_has():
    assert {"time", "heads", "source_gain"} <= set(search_space(settings_of("grand++-l"), (), ()))
    assert not {"time", "heads"} & set(search_space(settings_of("gcn"), (), ()))
    assert "cluster_labels" not in search_space(settings_of("grand++-l"), (), ())
    assert "cluster_labels" in search_space(settings_of("grand++-cluster-l"), (), ())
    assert search_space(settings_of("gcnii"), (), ())["layers"].high == 64
    assert "time" not in search_space(settings_of("grand-l"), ["time"], ())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lr=0.001:0.01:log", Range(0.001, 0.01, log=True)),
        ("hidden=8:16", Range(8, 16, integer=True)),
        ("hidden=8,24", Choice((8, 24))),
        ("learn-beta=true,false", Choice((True, False))),
        ("attention=gat", Choice(("gat",))),
        ("patience=5,10", Choice((5, 10))),
    ],
)
def test_parameters_are_read_in_the_type_of_the_setting(text, found):
    parameter = parse_parameter(text)
    space = search_space(settings_of("grand++-l"), (), [parameter])
    assert space[parameter.name] == found


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lr", "0.1:0.01", "low below high"),
        ("lr", "0:0.01:log", "low below high"),
        ("lr", "0.1:0.2:exp", "low:high:log"),
        ("lr", "a,b", "type float"),
        ("hidden", "8.5:16", "type int"),
        ("attention", "1:2", "type str"),
        ("learn_beta", "1,0", "type bool"),
        ("depth", "1:2", "(got 'depth')"),
        ("time", "1:2", "one place that sets 'time'"),
    ],
)
def test_what_is_no_range_of_a_setting_is_named(name, text, words):
    with pytest.raises(ValueError) as caught:
        search_space(settings_of("grand++-l"), ["time"], [Parameter(name, text)])
    assert words in str(caught.value)

"""Each graph of a PyG batch is what it is alone."""

from __future__ import annotations

import torch
from fuzzing import assert_near, fuzz, gradients
from hypothesis import strategies as st
from strategies import (
    ANGULAR,
    EXACT,
    GENERAL,
    Case,
    SolverChoice,
    equations,
    fitted,
    graphs,
    is_linear,
    of_slopes,
    trust,
)
from torch_geometric.data import Batch, Data

LIMIT = SolverChoice({"solver": "steady", "time": float("inf")}, 1e-6, 1e-3)
CHOICES = {
    "exact": EXACT,
    "steady": LIMIT,
    **{name: GENERAL[name] for name in ("auto", "default", "tsit5, direct", "rk4, checkpoint")},
}


@st.composite
def batches(draw, layers=("grand", "grand++", "heavy_ball", "cgnn")):
    """One layer for two or three graphs, and each graph as a case of its own."""
    layer = draw(st.sampled_from(layers))
    nonlinear = layer != "cgnn" and draw(st.booleans())
    options = draw(equations(layer, nonlinear))
    names = [n for n in CHOICES if n not in ("exact", "steady") or is_linear(layer, options)]
    endless = layer in ("grand", "grand++") and options.get("source") != "paper"
    endless = endless and not options.get("learn_beta")
    names = [n for n in names if n != "steady" or endless]
    choice = CHOICES[draw(st.sampled_from(names))]
    double = draw(st.sampled_from((True, True, False)))
    times = [t for t in (1.0, 0.3, 3.0) if t <= choice.longest]
    options |= {"time": draw(st.sampled_from(times)), **fitted(choice, double)}
    angular = options.get("attention") in ANGULAR
    if angular and options.get("initial") == "zero":
        options["initial"] = "features"
    channels = draw(st.sampled_from((2, 3) if angular else (2, 1, 3)))
    seed = draw(st.integers(0, 2**16))
    weighted = draw(st.booleans())
    alone = []
    sourced = layer == "grand++" or (layer == "heavy_ball" and options["source"] is not None)
    for _ in range(draw(st.integers(2, 3))):
        edges = draw(graphs(min_nodes=1, max_nodes=4, weighted=weighted))
        trusted = draw(trust(edges.num_nodes)) if sourced else None
        alone.append(Case(layer, options, edges, channels, double, seed, trusted))
        seed += 10
    return alone, choice


def joined(alone):
    parts = []
    for case in alone:
        x, edge_index, weight, *trusted = case.inputs()
        known = {"trusted": trusted[0]} if trusted else {}
        parts.append(Data(x=x, edge_index=edge_index, edge_weight=weight, **known))
    return parts, Batch.from_data_list(parts)


def run(conv, data, batch=None):
    given = [data.x, data.edge_index, data.edge_weight]
    known, trusted = {}, getattr(data, "trusted", None)
    if trusted is not None:
        known["source_index"] = trusted
        if batch is not None:
            known["batch"] = batch
    return conv(*given, **known)


@fuzz(60, drawn=batches())
def test_each_graph_of_a_batch_is_what_it_is_alone(drawn):
    alone, choice = drawn
    conv = alone[0].build()
    parts, batch = joined(alone)
    got = run(conv, batch, batch.batch)
    expected = torch.cat([run(conv, data) for data in parts])
    assert_near(got, expected, 2 * choice.tolerance(alone[0]))


@fuzz(30, drawn=batches(layers=("grand", "cgnn", "heavy_ball")))
def test_each_graph_of_a_batch_has_the_gradient_it_has_alone(drawn):
    alone, choice = drawn
    conv = alone[0].build()
    parts, batch = joined(alone)
    parameters = {n: p for n, p in conv.named_parameters() if p.requires_grad}
    whole = batch.x.requires_grad_()
    factor = alone[0].projection(batch.num_nodes).to(whole.dtype)
    got = gradients((factor * run(conv, batch, batch.batch)).sum(), {"x": whole, **parameters})
    for data in parts:
        data.x.requires_grad_()
    loss = (factor * torch.cat([run(conv, data) for data in parts])).sum()
    names = {f"x{k}": data.x for k, data in enumerate(parts)}
    expected = gradients(loss, {**names, **parameters})
    expected["x"] = torch.cat([expected.pop(name) for name in names])
    # Alone and in a batch the steps differ, and with them what is lost across a kink.
    tolerance = of_slopes(20 * choice.tolerance(alone[0]), alone[0].options)
    for name, gradient in got.items():
        assert_near(gradient, expected[name], tolerance, name)

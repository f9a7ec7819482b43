"""What the mathematics promises of every graph: symmetry, conserved means, maximum principles."""

from __future__ import annotations

from dataclasses import replace

import dense_reference as dense
import torch
from fuzzing import assert_near, fuzz
from hypothesis import strategies as st
from strategies import cases, graphs

from grandpp.solvers import solve


def degrees(case, conv):
    weight = case.graph.edge_weight(torch.float64)
    n = case.graph.num_nodes
    return dense.weights(case.graph.edge_index, n, weight, conv.self_loop_weight).sum(1)


@fuzz(40, drawn=cases(), shuffle=st.randoms(use_true_random=False))
def test_a_permutation_of_the_nodes_permutes_the_result(drawn, shuffle):
    case, conv = drawn.case, drawn.case.build()
    x, edge_index, weight, *trusted = case.inputs()
    nodes, edges = list(range(len(x))), list(range(edge_index.size(1)))
    shuffle.shuffle(nodes), shuffle.shuffle(edges)
    place = torch.tensor(nodes, dtype=torch.long).argsort()  # where each node went
    moved = conv(
        x[nodes],
        place[edge_index][:, edges],
        None if weight is None else weight[edges],
        *(t[nodes] for t in trusted),
    )
    straight = conv(x, edge_index, weight, *trusted)
    assert_near(moved, straight[nodes], 2 * drawn.choice.tolerance(case))


@fuzz(20, drawn=cases(("grand",)))
def test_constants_are_a_fixed_point(drawn):
    case = drawn.case.but(learn_beta=False)
    conv = case.build()
    x, edge_index, weight = case.inputs()
    same = x[:1].expand_as(x).contiguous()
    assert_near(conv(same, edge_index, weight), same, drawn.choice.tolerance(case))


@fuzz(20, drawn=cases(("grand", "heavy_ball", "grand++"), graph=graphs(undirected=True)))
def test_the_walk_on_an_undirected_graph_conserves_the_degree_weighted_mean(drawn):
    case = drawn.case
    options = {k: v for k, v in case.options.items() if k not in HEADS}
    options |= {"mode": "linear", "attention": None, "learn_beta": False}
    if case.layer == "heavy_ball":
        options |= {"momentum": "zero", "source": None, "kind": "sonode"}
        options.pop("activation", None)
        case = replace(case, trusted=None)
    if case.layer == "grand++":
        options |= {"source": "balanced", "initial": "features"}
    case = replace(case, options=options)
    conv = case.build()
    x = case.features()
    d = degrees(case, conv).unsqueeze(-1)
    y = conv(*case.inputs()).double()
    mean = (d * x.double()).sum(0), (d * y).sum(0)
    assert_near(mean[1], mean[0], 10 * len(x) * drawn.choice.tolerance(case))


HEADS = ("heads", "attention_channels", "normalization")


@fuzz(30, drawn=cases(("grand",)))
def test_diffusion_stays_between_the_extremes_of_its_start(drawn):
    case = drawn.case.but(learn_beta=False)
    x, edge_index, weight = case.inputs()
    y = case.build()(x, edge_index, weight)
    if len(x):
        slack = drawn.choice.tolerance(case) * max(1.0, float(x.abs().max()))
        assert bool((y <= x.amax(0) + slack).all() and (y >= x.amin(0) - slack).all())


@fuzz(25, drawn=cases(), first=st.sampled_from((0.25, 0.5, 0.9)))
def test_a_solve_goes_on_from_where_another_one_ended(drawn, first):
    case, conv = drawn.case, drawn.case.build()
    x, edge_index, weight, *trusted = case.inputs()
    if conv.time == 0:
        return
    if case.layer not in ("grand", "grand++"):
        whole = conv.solve(x, edge_index, weight, *trusted)
        again = conv.solve(x, edge_index, weight, *trusted, save_at=[first * conv.time, conv.time])
        assert_near(again.ys[-1], whole.y, 2 * drawn.choice.tolerance(case))
        return
    field, y0 = conv.bind(x, edge_index, weight, *trusted)
    middle = first * conv.time
    half = solve(field, y0, (0.0, middle), solver=conv.solver).y
    rest = solve(field, half, (middle, conv.time), solver=conv.solver).y
    assert_near(rest, conv(x, edge_index, weight, *trusted), 3 * drawn.choice.tolerance(case))


@fuzz(25, drawn=cases(), first=st.sampled_from((0.25, 0.5)))
def test_a_state_saved_on_the_way_is_that_of_a_shorter_solve(drawn, first):
    case = drawn.case
    time = case.options["time"]
    if time == 0:
        return
    short = case.but(time=first * time)
    if case.layer == "grand++" and case.options["source"] == "balanced":
        # The source depends on the end time by way of its mean.
        case, short = case.but(source="paper"), short.but(source="paper")
    if case.layer == "heavy_ball" and case.options["source"] == "balanced":
        case, short = case.but(source="paper"), short.but(source="paper")
    inputs = case.inputs()
    conv = case.build()
    saved = conv.solve(*inputs, save_at=[first * time, time])
    got = conv.position(saved.ys[0])
    assert_near(got, short.build()(*inputs), 3 * drawn.choice.tolerance(case))

"""Malformed input is an error of a kind that the documentation names, never an answer."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pytest
import torch
from fuzzing import fuzz
from hypothesis import strategies as st
from strategies import LAYERS, cases, graphs

from grandpp.fields import MLPField
from grandpp.layers import NeuralODE
from grandpp.solvers import SolveError

ALLOWED = (ValueError, IndexError, TypeError, SolveError)
NAN, INF = math.nan, math.inf

# What may be wrong with each argument; w is the valid one, n the number of nodes.
FEATURES = {
    "one dimension": lambda w, n: w[:, 0],
    "three dimensions": lambda w, n: w.unsqueeze(0),
    "a channel too many": lambda w, n: torch.cat([w, w[:, :1]], dim=1),
    "NaN": lambda w, n: w.index_fill(0, torch.tensor([0]), NAN),
    "infinite": lambda w, n: w.index_fill(0, torch.tensor([0]), -INF),
    "integers": lambda w, n: w.long(),
    "booleans": lambda w, n: w > 0,
    "complex": lambda w, n: w.to(torch.complex128),
    "the other precision": lambda w, n: w.float() if w.dtype == torch.float64 else w.double(),
    "too few nodes": lambda w, n: w[:1],
    "a number": lambda w, n: 1.0,
    "a list": lambda w, n: w.tolist(),
    "nothing": lambda w, n: None,
    "sparse": lambda w, n: w.to_sparse(),
}
EDGES = {
    "negative": lambda w, n: w.index_fill(1, torch.tensor([0]), -1),
    "beyond the nodes": lambda w, n: w.index_fill(1, torch.tensor([0]), n),
    "floating": lambda w, n: w.double(),
    "complex": lambda w, n: w.to(torch.complex64),
    "booleans": lambda w, n: w > 0,
    "three rows": lambda w, n: torch.cat([w, w[:1]]),
    "one row": lambda w, n: w[:1],
    "one dimension": lambda w, n: w[0],
    "three dimensions": lambda w, n: w.unsqueeze(0),
    "a list": lambda w, n: w.tolist(),
    "nothing": lambda w, n: None,
    "a pair": lambda w, n: (w[0], w[1]),
}
WEIGHTS = {
    "negative": lambda w, n: w.index_fill(0, torch.tensor([0]), -1.0),
    "NaN": lambda w, n: w.index_fill(0, torch.tensor([0]), NAN),
    "infinite": lambda w, n: w.index_fill(0, torch.tensor([0]), INF),
    "one too many": lambda w, n: torch.cat([w, w[:1]]),
    "one too few": lambda w, n: w[1:],
    "two columns": lambda w, n: torch.stack([w, w], dim=1),
    "complex": lambda w, n: w.to(torch.complex128),
    "a number": lambda w, n: 2.0,
    "a scalar": lambda w, n: torch.tensor(2.0),
    "a list": lambda w, n: w.tolist(),
}
TRUST = {
    "beyond the nodes": lambda w, n: torch.tensor([0, n]),
    "negative": lambda w, n: torch.tensor([-1]),
    "a short mask": lambda w, n: torch.ones(n - 1, dtype=torch.bool),
    "a long mask": lambda w, n: torch.ones(n + 1, dtype=torch.bool),
    "weights above 1": lambda w, n: torch.full((n,), 1.5),
    "negative weights": lambda w, n: torch.full((n,), -0.5),
    "NaN": lambda w, n: torch.full((n,), NAN),
    "a weight too many": lambda w, n: torch.ones(n + 1),
    "complex": lambda w, n: torch.ones(n, dtype=torch.complex64),
    "two dimensions": lambda w, n: torch.zeros(n, 1, dtype=torch.long),
    "bytes that look like a mask": lambda w, n: torch.ones(n, dtype=torch.uint8),
    "a scalar": lambda w, n: torch.tensor(1),
    "a list": lambda w, n: [0, 1],
}
SAVE_AT = {
    "before the start": lambda t: [-0.1, t],
    "after the end": lambda t: [t + 1],
    "backwards": lambda t: [t, t / 2],
    "twice the same": lambda t: [t / 2, t / 2],
    "NaN": lambda t: [NAN],
    "infinite": lambda t: [INF],
    "none": lambda t: [],
}
COMMON = {
    "time": (-1.0, NAN, -INF, "1", None),
    "solver": ("dopri6", "", 3, None),
    "rtol": (0.0, -1e-3, NAN, INF, "small"),
    "atol": (0.0, -1e-3, NAN, INF),
    "max_nfe": (0, -5, NAN),
    "gradient": ("adjiont", "implicit", 1),
    "step_size": (0.1, 0.0, -1.0),  # dopri5 takes none
    "tme": (1.0,),
}
DIFFUSION = {
    "channels": (0, -1, 1.5, "2", None),
    "mode": ("quadratic", None, 1),
    "attention": ("dot", "", 3),
    "heads": (0, -2, 1.5, NAN),
    "attention_channels": (0, -2, 3, 1.5),  # with two heads
    "normalization": ("softmin", None),
    "self_loop_weight": (-1.0, NAN, INF, "1"),
    "aggr": ("mean", "max"),
    "flow": ("target_to_source",),
}
OPTIONS = {
    "grand": {**COMMON, **DIFFUSION},
    "grand++": {
        **COMMON,
        **DIFFUSION,
        "source": ("poisson", None),
        "source_gain": (NAN, INF, "1"),
        "initial": ("ones", None),
    },
    "heavy_ball": {
        **COMMON,
        **DIFFUSION,
        "time": (*COMMON["time"], INF),
        "kind": ("light_ball", None),
        "gamma": (-0.1, NAN, INF, "1"),
        "max_gamma": (0.0, -1.0, NAN, INF),
        "xi": (1.0, NAN, -1.0),  # of another kind
        "activation": ("relu",),
        "momentum": ("given", None),
        "source": ("poisson",),
    },
    "cgnn": {
        **COMMON,
        "time": (*COMMON["time"], INF),
        "channels": (0, -1),
        "alpha": (-0.1, 1.1, NAN, "1", None),
    },
}
STATED = cases(
    graph=graphs(min_nodes=2, max_nodes=4, weighted=True).filter(lambda g: len(g.pairs) > 0),
    solvers=("exact", "auto", "tsit5, direct", "prox_bdf3"),
)


def refused(calls):
    """Every call of a table by name is refused; the names of those that are not."""
    wrong = {}
    for name, call in calls.items():
        try:
            call()
            wrong[name] = "accepted"
        except ALLOWED:
            continue
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error}"
    assert not wrong, wrong


@fuzz(40, drawn=STATED)
def test_a_malformed_graph_is_refused(drawn):
    conv, calls = drawn.case.build(), {}
    for k, table in enumerate((FEATURES, EDGES, WEIGHTS)):
        for name, spoil in table.items():
            # A layer without parameters has no precision of its own.
            if name == "the other precision" and not any(True for _ in conv.parameters()):
                continue
            given = list(drawn.case.inputs())
            n = len(given[0])
            if name == "too few nodes":
                given[1][:, 0] = n - 1
            given[k] = spoil(given[k], n)
            calls[k, name] = functools.partial(conv, *given)
    refused(calls)


@fuzz(15, drawn=STATED, nonlinear=st.booleans(), kind=st.sampled_from(("balanced", "paper")))
def test_malformed_trusted_nodes_are_refused(drawn, nonlinear, kind):
    options = {"mode": "nonlinear" if nonlinear else "linear", "source": kind}
    case = replace(drawn.case, layer="grand++", options=options)
    x, edge_index, weight, *_ = case.inputs()
    conv, n = case.build(), case.graph.num_nodes
    refused(
        {
            name: functools.partial(conv, x, edge_index, weight, spoil(None, n))
            for name, spoil in TRUST.items()
        }
    )


@fuzz(15, drawn=STATED)
def test_malformed_times_are_refused(drawn):
    case = drawn.case.but(time=1.0)
    conv = case.build()
    refused(
        {
            name: functools.partial(conv.solve, *case.inputs(), save_at=spoil(1.0))
            for name, spoil in SAVE_AT.items()
        }
    )


@pytest.mark.parametrize("layer", OPTIONS)
def test_a_malformed_option_is_refused_at_construction(layer):
    calls = {}
    for option, values in OPTIONS[layer].items():
        for value in values:
            options = {"channels": 2, "solver": "dopri5", "time": 1.0}
            if layer != "cgnn":
                options |= {"attention": "scaled_dot", "heads": 2}
            if option == "activation":
                options["kind"] = "ghbnode"
            options[option] = value
            calls[option, value] = functools.partial(LAYERS[layer], **options)
    refused(calls)


@pytest.mark.parametrize("layer", [name for name in OPTIONS if name != "cgnn"])
def test_too_few_channels_for_a_score_are_refused_at_construction(layer):
    few = {"cosine": (1,), "pearson": (1, 2)}
    options = {"channels": 2, "solver": "dopri5", "heads": 2}
    refused(
        {
            (score, size): functools.partial(
                LAYERS[layer], **options, attention=score, attention_channels=2 * size
            )
            for score, sizes in few.items()
            for size in sizes
        }
    )


NODE_OPTIONS = {
    **COMMON,
    "time": (NAN, INF, -INF, "1", None),
    "kind": ("newton", None, 2),
    "initial": (torch.nn.Linear(2, 2),),  # of first order
}


def test_a_neural_ode_refuses_malformed_options():
    def run(options):
        return NeuralODE(MLPField(2, (3,)), **options)(torch.zeros(3, 2))

    refused(
        {
            (option, value): functools.partial(run, {option: value})
            for option, values in NODE_OPTIONS.items()
            for value in values
        }
    )

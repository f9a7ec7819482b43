"""Every name leads to a solver that knows its own name and options."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch
from torchdiffeq._impl.odeint import SOLVERS

import grandpp.solvers
from grandpp.solvers import SOLVER_NAMES, TorchDiffEq, resolve_solver, solve, solver_options
from grandpp.solvers.implicit.schemes import PROXIMAL_METHODS


def test_the_names_are_those_of_all_methods():
    own = {"auto", "exact", "steady", "prox_adaptive", "tsit5", "dormand_prince", "commutator_free"}
    assert set(SOLVER_NAMES) == own | set(PROXIMAL_METHODS) | set(SOLVERS)
    assert len(SOLVER_NAMES) == len(set(SOLVER_NAMES))


def test_every_class_of_the_package_that_can_solve_has_a_name():
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(grandpp.solvers.__path__, "grandpp.solvers.")
    ]
    classes = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and hasattr(kind, "__dataclass_fields__")
        and not hasattr(kind, "plan")  # made for one solve, out of a solver with a name
        and list(inspect.signature(getattr(kind, "solve", len)).parameters) == [
            "self", "f", "y0", "ts"]
    }  # fmt: skip
    assert classes == {type(resolve_solver(name)) for name in SOLVER_NAMES}


@pytest.mark.parametrize("name", SOLVER_NAMES)
def test_every_name_gives_a_solver_of_that_name_with_the_options_it_lists(name):
    solver = resolve_solver(name)
    assert solver.method == name
    given = {option: getattr(solver, option) for option in solver_options(name)}
    assert resolve_solver(name, **given) == solver
    assert "method" not in given


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("euler", "step_size", "rtol"),
        ("dopri5", "rtol", "step_size"),
        ("exact", "rtol", "step_size"),
        ("prox_be", "inner", "rtol"),
        ("prox_adaptive", "atol", "step_size"),
        ("tsit5", "first_step", "step_size"),
    ],
)
def test_a_solver_takes_the_options_that_mean_something_to_it(name, has, lacks):
    assert has in solver_options(name)
    assert lacks not in solver_options(name)
    with pytest.raises(TypeError, match=rf"{has}.*got {lacks}"):
        resolve_solver(name, **{lacks: 0.1})


def test_a_solver_object_is_used_as_it_is():
    solver = TorchDiffEq("euler", step_size=0.5)
    assert resolve_solver(solver) is solver
    y = solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), solver=solver).y
    assert y.item() == 0.25


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: resolve_solver("runge"), ValueError, "dopri5.*got 'runge'"),
        (lambda: solver_options("runge"), ValueError, "dopri5.*got 'runge'"),
        (lambda: resolve_solver("dopri5", rtol=-1.0), ValueError, "rtol.*-1"),
        (lambda: resolve_solver("exact", rtol=2.0), ValueError, "between 0 and 1"),
        (lambda: resolve_solver(TorchDiffEq(), rtol=1.0), TypeError, "solver object"),
    ],
)
def test_wrong_names_and_options_are_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", [n for n in SOLVER_NAMES if "max_nfe" in solver_options(n)])
@pytest.mark.parametrize("value", [1.5, True, "many", 1e5])
def test_a_budget_of_evaluations_is_an_integer(name, value):
    with pytest.raises(TypeError, match=r"max_nfe to be an? (integer|number)"):
        resolve_solver(name, max_nfe=value)
    assert resolve_solver(name, max_nfe=np.int64(7)).max_nfe == 7

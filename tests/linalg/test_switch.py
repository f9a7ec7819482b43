"""Switching the Triton kernels on and off."""

from __future__ import annotations

import builtins
import importlib.util
import sys

import pytest
import torch

from grandpp.linalg import spmm, switch, triton_for, use_triton


@pytest.fixture(autouse=True)
def _off(monkeypatch):
    monkeypatch.setattr(switch, "_enabled", False)


@pytest.fixture
def _without_triton(monkeypatch):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name.split(".")[0] == "triton":
            raise ModuleNotFoundError("No module named 'triton'", name="triton")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    for name in ("triton_products", "triton_kernels"):
        monkeypatch.delitem(sys.modules, f"grandpp.linalg.experimental.{name}", raising=False)
        monkeypatch.delattr(f"grandpp.linalg.experimental.{name}", raising=False)
    switch._launchers.cache_clear()
    yield
    switch._launchers.cache_clear()


@pytest.mark.usefixtures("_without_triton")
def test_without_triton_the_switch_says_what_to_install(case, monkeypatch):
    csr, values, _ = case
    with pytest.raises(ImportError, match=r"pip install 'grandpp\[triton\]'"):
        use_triton()
    assert triton_for(values) is None
    use_triton(False)
    monkeypatch.setattr(switch, "_enabled", True)  # as the environment does
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert triton_for(values) is None  # not a matter of the CPU
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ImportError, match="GRANDPP_TRITON=1"):
        spmm(csr, values, torch.ones(5, 1, dtype=torch.float64))


def test_a_broken_import_of_our_own_is_not_taken_for_a_missing_triton(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'grandpp.oops'", name="grandpp.oops")

    monkeypatch.setattr(switch, "import_module", fail)
    switch._launchers.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="oops"):
        use_triton()


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), (None, False)])
def test_the_environment_sets_the_switch_at_the_start(value, expected, monkeypatch):
    if value is None:
        monkeypatch.delenv("GRANDPP_TRITON", raising=False)
    else:
        monkeypatch.setenv("GRANDPP_TRITON", value)
    spec = importlib.util.spec_from_file_location("fresh", switch.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert fresh._enabled is expected


def test_a_block_ends_with_what_was_before(monkeypatch):
    monkeypatch.setattr(switch, "_launchers", lambda: None)
    use_triton()
    assert switch._enabled
    with use_triton(False):
        assert not switch._enabled
        with use_triton():
            assert switch._enabled
        assert not switch._enabled
    assert switch._enabled


def test_a_switch_may_open_several_blocks(monkeypatch):
    monkeypatch.setattr(switch, "_launchers", lambda: None)
    on = use_triton()
    for _ in range(2):
        with on:
            assert switch._enabled
        assert not switch._enabled

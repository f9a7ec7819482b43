"""How many random cases a run takes, and from which seed."""

from __future__ import annotations

from typing import Any

DEFAULT_SEED = 0
SHARES = {"nightly": 1.0, "ci": 0.1}
"""Profiles, and the share of its cases that a property takes in each."""


def chosen_profile(config: Any) -> str:
    """``"nightly"`` where the marker expression asks for the fuzz tests, otherwise ``"ci"``."""
    return "nightly" if config.option.markexpr.strip() == "fuzz" else "ci"


def chosen_seed(config: Any) -> int:
    """The seed given by ``--hypothesis-seed``, otherwise 0."""
    given = config.getoption("--hypothesis-seed", None)
    if given is None:
        return DEFAULT_SEED
    if not given.isdecimal():
        raise ValueError(f"expected an integer '--hypothesis-seed' (got '{given}')")
    return int(given)

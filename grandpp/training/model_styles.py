"""Colours (Okabe and Ito, 2008) and titles of neural ODEs in pictures, by their names."""

from __future__ import annotations

COLOURS = {
    "node": "#0072B2",
    "anode": "#E69F00",
    "sonode": "#009E73",
    "hbnode": "#D55E00",
    "ghbnode": "#CC79A7",
    "adamnode": "#56B4E9",
    "ghbnode-hardtanh": "#000000",
}

_TITLES = {
    "hbnode": "HBNODE",
    "ghbnode": "GHBNODE",
    "adamnode": "AdamNODE",
    "ghbnode-hardtanh": "GHBNODE (hardtanh)",
}


def title(model: str) -> str:
    """A model as the papers spell it."""
    return _TITLES.get(model, model.upper())

"""The command told from records is the one that asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reproduced_of import reproduced_of

from grandpp.studies.thesis import LAYOUTS
from grandpp.studies.thesis.rebuilt_command import rebuild_command

FEW, DEPTH = LAYOUTS["4.3"], LAYOUTS["4.1"]
MODELS = ("grand-l", "grand++-l", "grand++-cluster-l", "gcn", "poisson")


def full(n=2, **more):
    return [r for k in (1, 2, 5, 10, 20) for m in MODELS
            for r in reproduced_of(m, [0.5] * n, labels=k, **more)]  # fmt: skip


def test_the_whole_table_needs_no_options():
    assert rebuild_command(FEW, "grand", full()) == (
        "python scripts/reproduce.py --table 4.3 --datasets Cora --splits 2",
        [],
    )


@pytest.mark.parametrize(
    ("records", "protocol", "options"),
    [
        (reproduced_of("gat", [0.5]), "grand", "--models gat --labels 1 --splits 1"),
        (full(epochs=7), "grand", "--splits 2 --epochs 7"),
        (full(protocol="no_val"), "no_val", "--splits 2 --protocol no_val"),
        ([*full(), *full(seed=1)], "grand", "--splits 2 --seeds 2"),
    ],
)
def test_what_differs_from_the_table_is_said(records, protocol, options):
    command, remarks = rebuild_command(FEW, protocol, records)
    assert command == f"python scripts/reproduce.py --table 4.3 --datasets Cora {options}"
    assert remarks == []


def test_depths_are_named_where_they_are_not_the_tables():
    usual = [r for t in (1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0)
             for r in reproduced_of("grand-l", [0.5], labels=20, depth=t)]  # fmt: skip
    command, remarks = rebuild_command(DEPTH, "grand", usual)
    assert command.endswith("--table 4.1 --datasets Cora --models grand-l --splits 1")
    assert remarks == []
    command, _ = rebuild_command(DEPTH, "grand", usual[:2])
    assert "--depths 1 4 --splits" in command


def test_missing_runs_are_counted():
    records = [*full(3), *reproduced_of("gcn", [0.5] * 5)]
    command, remarks = rebuild_command(FEW, "grand", records)
    assert command.endswith("--splits 5")
    # 25 cells of 5 splits, 75 runs and 2 more.
    assert remarks == ["Unfinished: 48 runs of this command are not there yet."]


def test_settings_that_have_changed_since_are_named():
    changed = [{**r, "config_hash": "0123456789ab"} if r["model"] == "gcn" else r for r in full()]
    _, remarks = rebuild_command(FEW, "grand", changed)
    assert remarks == ["Other settings than this version's: gcn on Cora."]


def test_another_folder_is_part_of_the_command():
    command, _ = rebuild_command(FEW, "grand", full(), Path("my results"))
    assert command.endswith("--results 'my results'")
    # The usual one is not named, in whatever way it is given.
    command, _ = rebuild_command(FEW, "grand", full(), Path("results").absolute())
    assert "--results" not in command

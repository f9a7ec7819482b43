"""The benchmark of a user's own loop on the karate club; nothing is timed."""

from __future__ import annotations

import json


def test_both_ways_are_measured_in_processes_of_their_own(load, capsys):
    load("common")
    loop = load("library_loop")
    few = ["--dataset", "KarateClub", "--rounds", "1", "--epochs", "1", "--channels", "4"]
    assert loop.main([*few, "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["dataset"], row["channels"]) == ("KarateClub", 4)
    assert row["ratio"] == row["plain_ms"] / row["kept_ms"]
    assert row["layer"] == "grand" and row["faults"] >= 0
    assert loop.main([*few, "--layer", "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layer"] == "none"

"""What is kept of a training on sequences, its table and its picture."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from grandpp.studies.sequences.report import draw_sequence_runs, summary_table
from grandpp.studies.sequences.settings import SEQUENCE_RECORDS, make_run
from grandpp.training.checkpointed_training import Fit

KEY = SEQUENCE_RECORDS.key


def row(epoch, validation, test, nfe=100.0):
    return {"epoch": epoch, "train_loss": 0.25, "validation_loss": validation, "test_loss": test,
            "nfe_forward": nfe, "nfe_backward": 2 * nfe, "nfe_evaluation": 50.0,
            "seconds": 1.5}  # fmt: skip


def run(model="hbnode", seed=0, history=None, status="success"):
    key = dict.fromkeys(KEY, 1) | {"model": model, "seed": seed}
    history = history or [row(1, 0.3, 0.5), row(2, 0.2, 0.1, 300.0), row(3, 0.4, 0.7)]
    found = make_run(key, 9, Fit(history, status))
    if status == "success":
        found["curve"] = {"times": [0, 1, 3], "truth": [1, 2, 3], "predicted": [1, 1, 2]}
        found["adjoint"] = {"norms": [3.0, 0.5], "nfe_forward": 7, "nfe_backward": 11}
    return found


def test_a_run_has_its_key_and_the_epoch_that_validation_chose():
    found = run()
    assert {name: found[name] for name in KEY} == {
        **dict.fromkeys(KEY, 1), "model": "hbnode", "seed": 0
    }  # fmt: skip
    assert found["best_epoch"] == 2
    assert found["seconds"] == 4.5
    assert "best_epoch" not in make_run({}, 9, Fit([], "blew up"))


def test_the_table_has_means_over_the_runs_that_did_not_fail():
    runs = [run(), run(seed=1, history=[row(1, 0.3, 0.3)]), run(seed=2, status="blew up")]
    lines = summary_table([*runs, run("sonode", status="blew up")]).splitlines()
    assert lines[1].split() == [
        "hbnode", "3", "1", "0.25", "0.35", "0.5", "0.2", "133.3", "266.7", "50.0", "7.0", "11.0",
        "6", "3.0",
    ]  # fmt: skip
    assert lines[2].split() == ["sonode", "1", "1", *["-"] * 11]


def test_a_run_that_could_not_be_probed_has_its_losses():
    bare = run(seed=1, history=[row(1, 0.3, 0.3)])
    del bare["adjoint"], bare["curve"]
    assert summary_table([run(), bare]).splitlines()[1].split()[-4:] == ["7.0", "11.0", "6", "3.0"]
    line = summary_table([bare]).splitlines()[1].split()
    assert (line[2], line[5], line[-4:]) == ("0", "0.3", ["-", "-", "-", "1.5"])


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("probed", [False, True])
def test_the_picture_shows_every_model(monkeypatch, tmp_path, failed, probed):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: figures.append(figure))
    other = run("node", status="blew up" if failed else "success")
    if not probed:
        del other["adjoint" if "adjoint" in other else "status"]
    draw_sequence_runs([run(), run(seed=1, history=[row(1, 1, 1)]), other], tmp_path / "a.png")
    curves, panels = figures[0].axes[:2], figures[0].axes[2:]
    assert [axes.get_ylabel() for axes in curves] == ["NODE", "HBNODE"]
    assert [text.get_text() for text in curves[0].texts] == (
        ["failed"] if failed or not probed else []
    )
    truth, predicted, border = curves[1].lines
    assert list(truth.get_ydata()) == [1, 2, 3]
    assert list(predicted.get_ydata()) == [1, 1, 2]
    assert border.get_xdata()[0] == 1  # two observations, then the forecast
    test = panels[1].lines[-1]
    assert list(test.get_xdata()) == [1, 2, 3]
    assert list(test.get_ydata()) == [0.75, 0.1, 0.7]
    assert list(panels[4].lines[-1].get_ydata()) == [6, 1]

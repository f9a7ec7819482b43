"""Time of a step against the number of grid points."""

from __future__ import annotations

from grandpp.studies.solver_problems import StudyRequest
from grandpp.studies.solver_problems.size import SizeStudy


def run(study):
    return [row for job in study.jobs() for row in job.run()]


def test_sizes_are_measured_for_every_contestant(tmp_path):
    study = SizeStudy(StudyRequest("inner-size", inners=("fr",)), sizes=(16, 32))
    rows = run(study)
    assert [(r["points"], r["inner"]) for r in rows] == [
        (n, name) for n in (16, 32) for name in ("fr", "newton_raphson")
    ]
    assert all(r["status"] == "success" and r["residual"] <= 1e-8 for r in rows)
    assert [r["nfe"] for r in rows if r["inner"] == "newton_raphson"] == [17, 33]
    study.draw(rows, tmp_path / "size.png")
    assert (tmp_path / "size.png").read_bytes().startswith(b"\x89PNG")
    assert set(study.summary(rows)["fastest"]) == {"16", "32"}

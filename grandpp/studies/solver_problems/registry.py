"""The studies by name, and which options each one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch_geometric.data import Data

from grandpp.data import DatasetNotFoundError, load_dataset
from grandpp.studies.solver_problems.accuracy import AccuracyStudy
from grandpp.studies.solver_problems.adjoint import AdjointStudy
from grandpp.studies.solver_problems.base import Study, StudyRequest
from grandpp.studies.solver_problems.inner import InnerStudy
from grandpp.studies.solver_problems.problems import (
    BEALE,
    GROWTH,
    PROTHERO,
    ROSENBROCK,
    Problem,
    diffusion1d,
    gradient_flow,
    grand,
    robertson,
)
from grandpp.studies.solver_problems.size import SizeStudy
from grandpp.studies.solver_problems.trajectories import TrajectoryStudy

_SOLVING = ("solvers", "tolerances", "inners", "inner_tols")


@dataclass(frozen=True)
class StudyKind:
    """A study by name.

    Args:
        build: Builds the study; may raise ``DatasetError``.
        options: Names of the fields of a request that it reads.
        about: Description for ``--help``.
    """

    build: Callable[[StudyRequest], Study]
    options: tuple[str, ...]
    about: str


def _accuracy(make: Callable[[], Problem], about: str) -> StudyKind:
    return StudyKind(lambda request: AccuracyStudy(request, make()), _SOLVING, about)


def _cora(request: StudyRequest) -> Data:
    """Load Cora, or with a notice the embedded graph where Cora is not available."""
    try:
        return load_dataset("Cora", request.root, progress=False)
    except DatasetNotFoundError as error:
        request.notify(f"{error}; using the embedded set 'sbm'")
        return load_dataset("sbm")


STUDIES: dict[str, StudyKind] = {
    "diffusion1d": _accuracy(
        diffusion1d, "heat equation of thesis (5.18), fastest mode 64,516 (Fig. 5.3, Table 5.2)"
    ),
    "stiff": _accuracy(robertson, "Robertson's reactions to t = 40: stiff, nonlinear, no gradient"),
    "growth": _accuracy(GROWTH.problem, "thesis (5.10), errors grow by exp(3 t) (Fig. 5.2 a, b)"),
    "prothero": _accuracy(PROTHERO.problem, "thesis (5.11), stiff, follows cos t (Fig. 5.2 c, d)"),
    "rosenbrock": _accuracy(partial(gradient_flow, ROSENBROCK), "gradient flow to t = 1"),
    "beale": _accuracy(partial(gradient_flow, BEALE), "gradient flow to t = 2"),
    "grand": StudyKind(
        lambda request: AccuracyStudy(request, grand(_cora(request))),
        (*_SOLVING, "root"),
        "GRAND-l at T = 18.3 with random attention, on Cora where it is found",
    ),
    "trajectories": StudyKind(
        TrajectoryStudy, (), "ODE, HBODE and AdamODE on both functions (HBNODE paper, Fig. 2)"
    ),
    "inner": StudyKind(
        InnerStudy, ("inners", "inner_tols"), "inner solvers on one step (Fig. 5.4)"
    ),
    "inner-size": StudyKind(
        SizeStudy, ("inners", "inner_tols"), "their time on 32 to 4096 grid points (Fig. 5.5)"
    ),
    "adjoint": StudyKind(
        lambda request: AdjointStudy(request, _cora(request)),
        ("solvers", "tolerances", "root"),
        "evaluations of GRAND-l and its adjoint by tolerance (Fig. 5.1)",
    ),
}


def resolve_study(request: StudyRequest) -> Study:
    """Build the study that a request names.

    Raises:
        ValueError: For an unknown name, an option the study does not read, or values it refuses.
        DatasetError: If it needs a data set that is not available.
    """
    if request.problem not in STUDIES:
        raise ValueError(f"expected a problem among {', '.join(STUDIES)} (got '{request.problem}')")
    kind = STUDIES[request.problem]
    for name in (*_SOLVING, "root"):
        if getattr(request, name) and name not in kind.options:
            flag = name.removesuffix("s").replace("_", "-")
            raise ValueError(f"expected no --{flag} beside --problem {request.problem}")
    return kind.build(request)

"""Settings and records of the training of a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from grandpp.data import IMAGE_DATASETS
from grandpp.image import flow as flows
from grandpp.image.flow.model import ImageFlow
from grandpp.solvers import SOLVER_NAMES, Solver, resolve_solver, solver_options
from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.training.checkpointed_training import Fit
from grandpp.training.options import TrainingImageOptions, option, positive_float, positive_int
from grandpp.training.record_file import Record, RecordFormat

_GRADIENTS = {"dense": "direct"}  # what fits into memory; the others take the adjoint


@dataclass(frozen=True, kw_only=True)
class FlowSettings(TrainingImageOptions):
    """How a flow is trained."""

    dataset: str = option("one of {choices}", default="digits", choices=IMAGE_DATASETS,
                          metavar="NAME")  # fmt: skip
    architecture: str | None = option(
        "perceptrons on all pixels, or convolutions at several scales",
        default=None,
        choices=flows.ARCHITECTURES,
        shown_default="dense for digits, else multiscale",
    )
    divergence: str = option(
        "compute the trace exactly, or estimate it with this noise",
        default="rademacher",
        choices=flows.DIVERGENCES,
    )
    solver: str = option(
        "solver of the flow, one of {choices}",
        default="dopri5",
        choices=SOLVER_NAMES,
        metavar="NAME",
    )
    tol: float = option("rtol and atol of adaptive solvers", default=1e-3, parse=positive_float)
    step_size: float = option("step of fixed-step solvers", default=0.2, parse=positive_float)
    inner: str = option(
        f"inner solver of proximal solvers: {', '.join(INNER_SOLVERS)}",
        default="fixed_point",
        metavar="NAME",
    )
    inner_tol: float = option("tolerance of the inner solver", default=2e-3, parse=positive_float)
    gradient: str | None = option(
        "gradient of explicit solvers",
        default=None,
        choices=("direct", "adjoint", "checkpoint"),
        shown_default="direct for dense, else adjoint, which needs least memory",
    )
    batch_size: int = option(
        "images per step of Adam", default=100, parse=positive_int, metavar="N"
    )
    lr: float = option(
        "learning rate of the first epoch; it falls by 3 % per epoch",
        default=0.005,
        parse=positive_float,
    )
    seed: int = option("seed of all random numbers", default=0, metavar="S")

    def settings(self) -> FlowSettings:
        """The settings alone, with the data set's defaults in place of ``None``."""
        given = FlowSettings(**{f.name: getattr(self, f.name) for f in fields(FlowSettings)})
        architecture = self.architecture or flows.IMAGE_FLOWS[self.dataset].architecture
        gradient = self.gradient or _GRADIENTS.get(architecture, "adjoint")
        return replace(given, architecture=architecture, gradient=gradient)

    def build(self) -> ImageFlow:
        """The flow, with parameters drawn by the seed."""
        return flows.image_flow(
            self.dataset,
            self.architecture,
            divergence=self.divergence,
            solver=self.build_solver(),
            seed=self.seed,
        )

    def build_solver(self) -> Solver:
        """The solver with the options that it takes; the others are not looked at.

        Steps times eigenvalues of flows are below 1, so that the inner solver ``fixed_point`` needs
        two or three evaluations; no eigenvalue is estimated.

        Raises:
            ValueError: For an unknown name or a number out of range.
        """
        known = solver_options(self.solver)
        given: dict[str, Any] = {"rtol": self.tol, "atol": self.tol, "step_size": self.step_size,
                 "inner": self.inner, "inner_tol": self.inner_tol, "spectral": 0.0}  # fmt: skip
        if self.solver == "prox_adaptive":
            del given["inner_tol"]  # its error control sets the tolerance of its inner solver
        if self.gradient is not None and "inner" not in known:
            given["gradient"] = self.gradient
        return resolve_solver(self.solver, **{k: v for k, v in given.items() if k in known})

    def reference_solvers(self) -> dict[str, Solver]:
        """Return solvers to compare on one flow by their names in reports, the reference first."""
        chosen = {
            f"dopri5 {tol:.0e}": replace(self, solver="dopri5", tol=tol).build_solver()
            for tol in (1e-7, 1e-5, 1e-3)
        }
        for name in ("prox_cn", "prox_bdf2", "prox_bdf3", "prox_bdf4"):
            chosen[f"{name} {self.step_size:g}"] = replace(self, solver=name).build_solver()
        return chosen


FLOW_RECORDS = RecordFormat(
    key=tuple(f.name for f in fields(FlowSettings)),
    optional=("images", "device", "history", "status", "solvers"),
)
"""Records of flows; a training may have several, for further epochs."""


def flow_record(
    settings: FlowSettings,
    done: Fit,
    images: str,
    device: str,
    costs: Sequence[Mapping[str, Any]],
) -> Record:
    """Everything measured, in plain values.

    Args:
        settings: Those of the training.
        done: The training.
        images: Where the images come from, in words.
        device: Where it ran.
        costs: Costs of solvers on the trained flow.
    """
    origin = {"images": images, "device": device}
    return {**asdict(settings), **origin, **asdict(done), "solvers": list(costs)}

"""Measurements of solvers: each study lists its jobs, sums up their rows and draws them."""

from grandpp.studies.solver_problems.base import Job, Request, Row, Study
from grandpp.studies.solver_problems.registry import STUDIES, StudyKind, resolve_study

__all__ = ["STUDIES", "Job", "Request", "Row", "Study", "StudyKind", "resolve_study"]

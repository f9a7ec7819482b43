"""Measurements of solvers: each study lists its jobs, sums up their rows and draws them."""

from grandpp.studies.solver_problems.base import Job, Row, Study, StudyRequest
from grandpp.studies.solver_problems.registry import STUDIES, StudyKind, resolve_study

__all__ = ["STUDIES", "Job", "Row", "Study", "StudyKind", "StudyRequest", "resolve_study"]

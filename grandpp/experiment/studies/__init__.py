"""Measurements of solvers: each study lists its jobs, sums up their rows and draws them."""

from grandpp.experiment.studies.base import Job, Request, Row, Study
from grandpp.experiment.studies.registry import STUDIES, StudyKind, resolve_study

__all__ = ["STUDIES", "Job", "Request", "Row", "Study", "StudyKind", "resolve_study"]

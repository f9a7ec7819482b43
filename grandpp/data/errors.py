"""Exceptions for missing or damaged data sets."""

from __future__ import annotations


class DatasetError(RuntimeError):
    """A data set could not be provided; base class of the two below."""


class DatasetNotFoundError(DatasetError):
    """The files are in none of the folders and could not be downloaded."""


class DatasetIntegrityError(DatasetError):
    """A file, or the graph read from it, is not the published one; it is never unpickled."""

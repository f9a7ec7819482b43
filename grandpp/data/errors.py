"""Exceptions for missing or damaged data sets."""

from __future__ import annotations


class DatasetError(RuntimeError):
    """A data set could not be provided; base class of those below."""


class DatasetNotFoundError(DatasetError):
    """The files are in none of the folders and could not be downloaded."""


class DatasetIntegrityError(DatasetError):
    """A file, or the graph read from it, is not the published one; it is never unpickled."""


class GraphFileError(DatasetError, ValueError):
    """A file of a graph of one's own is missing or malformed; the message names file and line."""


def array_fault(error: BaseException) -> str:
    """What numpy says of a file that it cannot load, without its advice to run code in it."""
    return "no NPY data" if "pickled" in str(error) else str(error)

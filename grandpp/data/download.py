"""Downloads into the package's cache folder: whole files or nothing, and no endless waiting."""

from __future__ import annotations

import shutil
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

import torch

from grandpp.data.digests import RawSet
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.files import missing_files

TIMEOUT_SECONDS = 30.0


class DownloadError(Exception):
    """A download failed; the message is the reason in a few words."""


def download_missing(raw: RawSet, folder: Path, progress: bool) -> None:
    """Download what ``folder`` lacks of a data set; nothing is verified or unpickled here.

    Args:
        raw: the data set's files and their publisher.
        folder: where the files go.
        progress: whether to show a progress bar on stderr for every file.

    Raises:
        DownloadError: the server or the folder cannot be used; no partial file stays behind.
        DatasetIntegrityError: the archive that came is not one, or lacks a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _default_timeout(TIMEOUT_SECONDS):
            if raw.archive_folder:
                _fetch_archive(raw, folder, progress)
                return
            for name in missing_files(folder, raw.files):
                # Without a hash: a file that differs is to be kept aside, not thrown away.
                torch.hub.download_url_to_file(
                    raw.url + name, str(folder / name), progress=progress
                )
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(_reason(error)) from error


def _fetch_archive(raw: RawSet, folder: Path, progress: bool) -> None:
    """Download a zip archive beside the files and take from it only the files that are known."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = Path(scratch) / "archive.zip"
        torch.hub.download_url_to_file(raw.url, str(archive), progress=progress)
        try:
            with zipfile.ZipFile(archive) as content:
                for file in raw.files:
                    # The target is made from our own name: the archive's cannot lead elsewhere.
                    whole = Path(scratch) / file.name
                    member = raw.archive_folder + file.name
                    with content.open(member) as source, whole.open("wb") as target:
                        shutil.copyfileobj(source, target)
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
            raise DatasetIntegrityError(
                f"refused {raw.url}: expected a zip archive with the files "
                f"{raw.archive_folder}*.csv.gz (got one that cannot be read: {error})"
            ) from error
        for file in raw.files:
            (Path(scratch) / file.name).replace(folder / file.name)


@contextmanager
def _default_timeout(seconds: float) -> Iterator[None]:
    """Give every new socket a time limit, since the download function takes none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """What went wrong, in the few words that help the reader."""
    if isinstance(error, HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, URLError):
        inner = error.reason
        return _reason(inner) if isinstance(inner, Exception) else str(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

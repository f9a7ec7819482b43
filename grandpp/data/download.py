"""Download files to the cache folder, completely or not at all, with a timeout."""

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
    """Download the files of a data set that ``folder`` lacks; they are not verified here.

    Args:
        raw: the files of the data set and where they are published.
        folder: where the files go.
        progress: whether to show a progress bar on stderr for every file.

    Raises:
        DownloadError: the server or the folder cannot be used; no partial file is left.
        DatasetIntegrityError: the download is not a zip archive, or lacks a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _default_timeout(TIMEOUT_SECONDS):
            if raw.archive_folder:
                _fetch_archive(raw, folder, progress)
                return
            for name in missing_files(folder, raw.files):
                # Without a hash: a file that differs is renamed by read_verified, not deleted.
                torch.hub.download_url_to_file(
                    raw.url + name, str(folder / name), progress=progress
                )
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(_reason(error)) from error


def _fetch_archive(raw: RawSet, folder: Path, progress: bool) -> None:
    """Download a zip archive to a temporary folder and extract only the expected files."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = Path(scratch) / "archive.zip"
        torch.hub.download_url_to_file(raw.url, str(archive), progress=progress)
        try:
            with zipfile.ZipFile(archive) as content:
                for file in raw.files:
                    # Names in the archive are not used as paths, which could point outside of it.
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
    """Set the default timeout of sockets, since the download function has no such option."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """A short description of a download error."""
    if isinstance(error, HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, URLError):
        inner = error.reason
        return _reason(inner) if isinstance(inner, Exception) else str(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

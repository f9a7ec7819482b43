"""Find the files of a data set in local folders or download them, and verify their digests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grandpp.data.digests import RawSet
from grandpp.data.download import DownloadError, download_missing
from grandpp.data.errors import DatasetNotFoundError
from grandpp.data.files import cache_folder, missing_files, read_verified, search_folders


def locate(
    name: str, raw: RawSet, root: str | Path | None, *, download: bool, progress: bool
) -> Mapping[str, bytes]:
    """Return the verified files of the first folder that has all of them, or download them.

    Args:
        name: Name of the data set, for error messages.
        raw: Its files and where they are published.
        root: The caller's folder of data sets; None for none.
        download: Whether to download a set that is in no folder to the cache.
        progress: Whether a download shows a progress bar.

    Raises:
        DatasetNotFoundError: If the files are nowhere and cannot be downloaded.
        DatasetIntegrityError: If a file is not the published one.
    """
    looked = []
    for folder in search_folders(root):
        missing = missing_files(folder / raw.folder, raw.files)
        if not missing:
            return read_verified(folder / raw.folder, raw.files)
        found = len(raw.files) - len(missing)
        looked.append(f"{folder} (incomplete: no {', '.join(missing)})" if found else str(folder))
    reason = "downloading is switched off"
    if download:
        target = cache_folder() / raw.folder
        try:
            download_missing(raw, target, progress)
            return read_verified(target, raw.files)
        except DownloadError as error:
            reason = f"the download from {raw.url} failed ({error})"
    raise DatasetNotFoundError(
        f"data set {name} was not found: looked in {', '.join(looked)}, and {reason}; "
        f"connect to the network, or put its raw files into <folder>/{raw.folder} "
        "and pass that folder as root or in $GRANDPP_DATA"
    ) from None

"""Parts of figures that several studies share; colours are those of Okabe and Ito (2008)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from grandpp.training.atomic_files import check_target, write_whole

# The order keeps neighbours apart for every common kind of colour blindness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D1F")
_MARKERS = "osD^vPX*<"  # one more than colours, so that they pair differently each round


def check_picture(path: Path) -> None:
    """Raise an error for a picture that cannot be saved, before the work that it shows.

    Raises:
        ValueError: If its folder is missing, its ending is no format of matplotlib, or a folder is
            in its place.
    """
    check_target(path)
    endings = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in endings:
        raise ValueError(f"expected a file ending in one of {', '.join(endings)} (got '{path}')")


def make_panels(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with its panels beside each other, without touching global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, panels, i + 1) for i in range(panels)]
    for each in axes:
        each.grid(alpha=0.3)
    return figure, axes


def save_figure(
    figure: Figure, path: Path, dpi: int = 150, metadata: Mapping[str, Any] | None = None
) -> None:
    """Save a figure in the format of the file's ending; it appears whole or not at all.

    Args:
        figure: The figure.
        path: Where it goes.
        dpi: Dots per inch of a picture of pixels. (default: ``150``)
        metadata: See :meth:`matplotlib.figure.Figure.savefig`. (default: ``None``)

    Raises:
        ValueError: If the ending is no format of matplotlib.
        OSError: If it cannot be written.
    """
    picture = io.BytesIO()
    ending = path.suffix.lower().removeprefix(".")
    figure.savefig(picture, format=ending, dpi=dpi, metadata=metadata)
    write_whole(path, picture.getvalue())


def line_styles() -> Iterator[dict[str, Any]]:
    """Line styles; every four are dashed otherwise, so that a line below another still shows."""
    for i, (colour, marker) in enumerate(zip(cycle(COLOURS), cycle(_MARKERS), strict=False)):
        line = ("-", "--", ":", "-.")[i // 4 % 4]
        yield {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5,
               "linestyle": line}  # fmt: skip

"""Pictures of predictions: a map of the nodes, and confidence against accuracy."""

from __future__ import annotations

import io
import warnings

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch_geometric.data import Data

from grandpp.data.scaling import scaled
from grandpp.estimator.calibration import Reliability
from grandpp.models import diffused_components
from grandpp.training.figures import COLOURS, make_panels

_MOST = 5000
"""Nodes drawn at most; more hide each other."""

_LEGEND = 20
"""Classes that the legend names at most, the largest."""


def map_of_nodes(
    data: Data, wanted: NDArray[np.bool_], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Place nodes in the plane so that nodes with similar diffused features are close.

    The leading components of the diffused features, see
    :func:`grandpp.models.diffused_components`, are embedded by t-SNE.

    Args:
        data: The graph.
        wanted: Nodes that are placed in any case, bool ``[N]``.
        seed: Seed of the sample and of t-SNE. (default: ``0``)

    Returns:
        Indices of the nodes, those wanted and others drawn at random, 5000 where they are that
        many, and their places ``[n, 2]``.
    """
    x = scaled(data.x)
    found = diffused_components(x, data.edge_index, data.get("edge_weight")).cpu().numpy()
    rng, state = np.random.default_rng(seed), seed % 2**32  # scikit-learn's seeds end there
    nodes = np.arange(len(found))
    if nodes.size > _MOST:
        # Random numbers order the nodes, those wanted come before all others.
        order = np.argsort(rng.random(nodes.size) - wanted)
        nodes = np.sort(order[: max(_MOST, min(int(wanted.sum()), 2 * _MOST))])
    points = found[nodes]
    if nodes.size < 10:
        return nodes, PCA(2, random_state=state).fit_transform(points)
    tsne = TSNE(2, init="pca", perplexity=min(30, nodes.size // 4), random_state=state)
    return nodes, tsne.fit_transform(points)


def draw_map(
    data: Data,
    label: NDArray[np.int64],
    names: list[str],
    confidence: NDArray[np.float64],
    given: NDArray[np.bool_],
    ending: str,
    seed: int = 0,
) -> bytes:
    """Draw the nodes by their diffused features, coloured by class; pale where less sure.

    Args:
        data: The graph.
        label: Place of each node's class among the names ``[N]``.
        names: Names of the classes.
        confidence: Probability of that class ``[N]``.
        given: Nodes whose label was given, drawn with a black edge ``[N]``.
        ending: Format of the picture, ``".png"`` for example.
        seed: See :func:`map_of_nodes`. (default: ``0``)

    Returns:
        What a file of the picture holds.
    """
    nodes, place = map_of_nodes(data, given, seed)
    figure, (axes,) = make_panels(1, 7.5, 6)
    axes.grid(visible=False)
    counts = np.bincount(label, minlength=len(names))
    shown = set(np.argsort(-counts, kind="stable")[:_LEGEND].tolist())
    for k, name in enumerate(names):
        mine = label[nodes] == k
        if k not in shown and not mine.any():
            continue
        colour = COLOURS[k % len(COLOURS)]
        # The marker tells classes apart that share a colour.
        marker = "osD^vP"[k // len(COLOURS) % 6]
        strength = np.clip(confidence[nodes][mine], 0.1, 1)
        axes.scatter(
            place[mine, 0],
            place[mine, 1],
            c=colour,
            alpha=strength,
            s=9,
            marker=marker,
            linewidths=0,
        )
        if k in shown:
            axes.scatter([], [], c=colour, s=30, marker=marker, label=name)
        seeds = mine & given[nodes]
        axes.scatter(
            place[seeds, 0],
            place[seeds, 1],
            c=colour,
            s=45,
            marker=marker,
            edgecolors="black",
            zorder=3,
        )
    if len(names) > len(shown):
        axes.plot([], [], " ", label=f"and {len(names) - len(shown):,} smaller classes")
    axes.scatter([], [], c="white", edgecolors="black", s=45, label="label given")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("nodes by their diffused features; pale: less sure")
    return _drawn(figure, ending)


def draw_reliability(found: Reliability, ending: str) -> bytes:
    """Draw confidence against accuracy, and how many nodes have which confidence.

    Args:
        found: The bins.
        ending: Format of the picture, ``".png"`` for example.

    Returns:
        What a file of the picture holds.
    """
    figure, axes = make_panels(2, 9, 4)
    middle, width = (found.edges[1:] + found.edges[:-1]) / 2, np.diff(found.edges)
    left, right = axes
    left.plot([0, 1], [0, 1], color="black", linestyle=":", label="calibrated")
    filled = found.count > 0
    left.bar(middle[filled], found.accuracy[filled], width[filled], color=COLOURS[0], alpha=0.5,
             edgecolor=COLOURS[0], label="accuracy")  # fmt: skip
    left.plot(found.confidence[filled], found.accuracy[filled], "o", color=COLOURS[3])
    left.set_xlabel("confidence")
    left.set_ylabel("share predicted right")
    left.set_title(f"expected calibration error {100 * found.calibration_error:.1f} %")
    left.legend()
    right.bar(middle, found.count, width, color=COLOURS[0], alpha=0.5, edgecolor=COLOURS[0])
    right.set_xlabel("confidence")
    right.set_ylabel("held-out nodes")
    return _drawn(figure, ending)


def _drawn(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Boxes stand for letters that the font lacks; a warning for each tells nothing more.
        warnings.filterwarnings("ignore", r"Glyph .* missing")
        figure.savefig(buffer, format=ending.lower().removeprefix("."), dpi=150)
    return buffer.getvalue()

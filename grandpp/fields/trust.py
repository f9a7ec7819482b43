"""Weights of trusted source nodes, and the graph of a batch that a node belongs to."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.linalg import LOCAL, Reductions
from grandpp.linalg.components import Components


def trust_weights(index: Tensor | None, num_nodes: int, like: Tensor) -> Tensor:
    """Turn trusted nodes, given as indices, as a mask or as weights, into weights ``[N]``.

    Args:
        index: Indices, an integer tensor ``[I]`` in which repeated nodes count once; a mask, bool
            ``[N]``; weights of trust, floating ``[N]`` in [0, 1]; or ``None``, no node.
        num_nodes: Number of nodes N.
        like: A tensor whose dtype and device the result takes.

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For a wrong dtype or shape, weights outside [0, 1], or an integer tensor that
            looks like a mask: of type uint8, or N > 2 zeros and ones.
        IndexError: For an index outside [0, N).

    Example:
        >>> trust_weights(torch.tensor([2, 0]), 4, torch.empty(0))
        tensor([1., 0., 1., 0.])
    """
    if index is None:
        return like.new_zeros(num_nodes)
    if not isinstance(index, Tensor):
        raise TypeError(f"expected 'source_index' to be a tensor (got {type(index).__name__})")
    if index.is_complex():
        raise ValueError(f"expected a real 'source_index' (got {index.dtype})")
    index = index.to(like.device)
    if index.dtype == torch.bool or index.is_floating_point():
        kind = "boolean" if index.dtype == torch.bool else "floating"
        if index.shape != (num_nodes,):
            raise ValueError(
                f"expected a {kind} 'source_index' of shape [{num_nodes}] (got {list(index.shape)})"
            )
        if kind == "floating" and not bool(((index >= 0) & (index <= 1)).all()):
            raise ValueError("expected the weights in 'source_index' to lie in [0, 1]")
        return index.to(like.dtype)
    if index.dim() != 1:
        raise ValueError(
            f"expected 'source_index' to hold indices [I], a mask or weights [{num_nodes}] "
            f"(got {index.dtype} {list(index.shape)})"
        )
    zeros_and_ones = index.numel() == num_nodes > 2 and bool(((index == 0) | (index == 1)).all())
    if index.dtype == torch.uint8 or zeros_and_ones:
        raise ValueError(
            "expected 'source_index' to hold int64 indices, or a boolean mask (got "
            f"{index.dtype} {list(index.shape)}, which may be a mask of zeros and ones: use "
            "'.bool()' for a mask, '.nonzero().view(-1)' for its indices)"
        )
    low, high = index.aminmax() if index.numel() else (index, index)
    if index.numel() and (int(low) < 0 or int(high) >= num_nodes):
        raise IndexError(
            f"expected every 'source_index' in [0, {num_nodes}) (got {int(low)} to {int(high)})"
        )
    return like.new_zeros(num_nodes).index_fill(0, index.long(), 1.0)


def trusted_nodes(index: Tensor | None, x: Tensor) -> Tensor | None:
    """The nodes of positive trust, int64 ``[I]``; ``None`` where trust is learned, at all nodes.

    Args:
        index: As in :func:`trust_weights`.
        x: Node features ``[N, F]``.
    """
    trusted = trust_weights(index, x.size(0), x)
    return None if trusted.requires_grad else trusted.nonzero().view(-1)


def graphs_of(batch: Tensor | None, x: Tensor, reductions: Reductions = LOCAL) -> Components:
    """The graphs of a PyG batch as parts of its nodes.

    Args:
        batch: Graph of each node, an integer tensor ``[N]``; ``None``: one graph.
        x: Node features ``[N, F]``.
        reductions: How to sum over nodes. (default: those of one process)

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For a wrong dtype or shape, or the batch of a sharded graph.
    """
    if batch is None:
        label = torch.zeros(x.size(0), dtype=torch.int64, device=x.device)
        return Components(label, 1, reductions)
    if not reductions.is_local:
        raise ValueError("expected no 'batch' for a sharded graph, which is one graph")
    if not isinstance(batch, Tensor):
        raise TypeError(f"expected 'batch' to be a tensor (got {type(batch).__name__})")
    is_integer = not (batch.is_floating_point() or batch.is_complex() or batch.dtype == torch.bool)
    if batch.shape != (x.size(0),) or not is_integer:
        raise ValueError(
            f"expected 'batch' to hold the graph of each node, int64 [{x.size(0)}] "
            f"(got {batch.dtype} {list(batch.shape)})"
        )
    numbers, label = batch.to(x.device).unique(return_inverse=True)
    return Components(label, numbers.numel())

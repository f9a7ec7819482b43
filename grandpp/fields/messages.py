"""Compatibility with PyG's message passing: sparse matrices as edges, overridden messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.utils import is_sparse, to_edge_index

OVERRIDABLE = (
    "message",
    "aggregate",
    "update",
    "message_and_aggregate",
    "propagate",
    "message_product",
)
"""Methods whose overriding in a subclass makes diffusion pass messages."""

_HOOKS = (
    "propagate_forward_pre",
    "propagate_forward",
    "message_forward_pre",
    "message_forward",
    "aggregate_forward_pre",
    "aggregate_forward",
)


def edges_of(
    edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int
) -> tuple[Tensor, Tensor | None]:
    """Return ``edge_index`` ``[2, E]`` and weights, also of a sparse matrix, which stays as it is.

    Args:
        edge_index: int64 ``[2, E]``, or a sparse matrix ``[N, N]`` with targets as rows (PyG's
            ``adj_t``): torch's COO, CSR or CSC, or a ``torch_sparse.SparseTensor``.
        edge_weight: Weights ``[E]``; ``None`` for the values of a sparse matrix.
        num_nodes: Number of nodes N.

    Raises:
        TypeError: If ``edge_index`` is neither.
        ValueError: For a sparse matrix of another shape.
    """
    if is_sparse(edge_index):
        shape = _shape_of(edge_index)
        if shape != [num_nodes, num_nodes]:
            raise ValueError(
                f"expected a sparse 'edge_index' of shape [{num_nodes}, {num_nodes}], with a row "
                f"and a column per node (got {shape})"
            )
        if isinstance(edge_index, Tensor) and edge_index.layout == torch.sparse_coo:
            # to_edge_index would mark the caller's matrix as coalesced, in place, and lose the
            # gradient. Repeated entries add up to the same operator; given weights are one each.
            if edge_weight is not None:
                return edge_index._indices().flip(0), edge_weight
            edge_index = edge_index.coalesce()
            return edge_index.indices().flip(0), edge_index.values()
        (row, col), values = to_edge_index(edge_index)
        return torch.stack([col, row]), values if edge_weight is None else edge_weight
    if not isinstance(edge_index, Tensor):
        raise TypeError(
            "expected 'edge_index' as an integer tensor [2, E] or a sparse matrix [N, N] "
            f"(got {_named(edge_index)})"
        )
    return edge_index, edge_weight


def _shape_of(matrix: Any) -> list[int]:
    # That of a torch_sparse.SparseTensor is a method.
    return list(matrix.shape if isinstance(matrix, Tensor) else matrix.sizes())


def _named(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def makes_messages(conv: MessagePassing, base: type) -> bool:
    """Whether a layer must pass explicit messages, because they are observed or changed.

    Explainers mask messages, hooks watch them, and a subclass, or an instance, may have methods of
    its own in place of those of ``base`` and PyG (:data:`OVERRIDABLE`).

    Args:
        conv: The layer.
        base: Its class that defines what diffusion does.
    """
    if conv.explain or any(getattr(conv, f"_{name}_hooks") for name in _HOOKS):
        return True
    return any(_overrides(conv, base, name) for name in OVERRIDABLE)


def _overrides(conv: MessagePassing, base: type, name: str) -> bool:
    if name == "propagate":
        return _own_propagate(conv, base) is not None
    kinds = type(conv).__mro__
    own = [name in vars(kind) for kind in kinds[: kinds.index(base)]]
    return name in vars(conv) or any(own)


def _own_propagate(conv: MessagePassing, base: type) -> Callable[..., Any] | None:
    """The ``propagate`` of a subclass or an instance; those that PyG generates do not count."""
    kinds = type(conv).__mro__
    for place in (conv, *kinds[: kinds.index(base)]):
        own = vars(place).get("propagate")
        if own is None:
            continue
        kind: Any = type(conv) if place is conv else place
        plain = getattr(own, "__func__", own)
        known = (vars(kind).get("_jinja_propagate"), MessagePassing.propagate)
        # Where PyG generates none, as a class has its own, it notes that twice.
        if plain not in known or vars(kind).get("_orig_propagate") is plain is not known[1]:
            return plain
    return None


def remember_propagate(conv: MessagePassing, base: type) -> None:
    """Correct PyG's record of ``propagate`` after it generated one for a class.

    Explainers restore the recorded one, which for a subclass of a class used before is by mistake
    the generated one of the parent. The generated one would also hide that of a parent class.
    """
    kind: Any = type(conv)
    own = _own_propagate(conv, base)
    kind._orig_propagate = MessagePassing.propagate if own is None else own
    if own is not None:
        kind.propagate = kind._jinja_propagate = own

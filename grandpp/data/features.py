"""Operations on dense or ``torch.sparse_csr`` node features, without dense copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Features larger than this are stored as sparse_csr if at most this share of them is non-zero.
_LARGE_BYTES, _SPARSE_SHARE = 2**28, 0.05


def is_sparse(x: Tensor) -> bool:
    """Whether features are a ``torch.sparse_csr`` matrix."""
    return x.layout == torch.sparse_csr


def with_layout(x: Tensor, sparse: bool | None) -> Tensor:
    """Return features ``[N, F]`` as a dense or as a ``torch.sparse_csr`` matrix.

    Args:
        x: Features, dense or ``torch.sparse_csr``.
        sparse: Whether to return a sparse matrix; ``None``: if a dense one would take more than
            256 MiB and at most 5 % of the entries are non-zero.
    """
    if sparse is None:
        entries = x.values().numel() if is_sparse(x) else int(torch.count_nonzero(x))
        large = x.numel() * x.element_size() > _LARGE_BYTES
        sparse = large and entries <= _SPARSE_SHARE * x.numel()
    if sparse == is_sparse(x):
        return x
    return x.to_sparse_csr() if sparse else x.to_dense()


def with_values(x: Tensor, values: Tensor) -> Tensor:
    """Return a ``torch.sparse_csr`` matrix with the pattern of ``x`` and other values ``[nnz]``."""
    return torch.sparse_csr_tensor(
        x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False
    )


def row_of_entries(x: Tensor) -> Tensor:
    """The row of each entry of a ``torch.sparse_csr`` matrix, int64 ``[nnz]``."""
    counts = x.crow_indices().diff()
    rows = torch.arange(x.size(0), device=counts.device)
    return rows.repeat_interleave(counts, output_size=x.values().numel())


def select_rows(x: Tensor, index: Tensor) -> Tensor:
    """The rows ``index`` ``[I]`` of features ``[N, F]``, in the same layout."""
    if not is_sparse(x):
        return x[index]
    start, count = x.crow_indices()[:-1][index], x.crow_indices().diff()[index]
    ends = torch.cat([count.new_zeros(1), count.cumsum(0)])
    entries = torch.arange(int(ends[-1]), device=count.device)
    entries = entries + (start - ends[:-1]).repeat_interleave(count)
    size = (index.numel(), x.size(1))
    parts = (ends, x.col_indices()[entries], x.values()[entries])
    return torch.sparse_csr_tensor(*parts, size, check_invariants=False)


def columns_by_name(wanted: Sequence[str], found: Sequence[str]) -> NDArray[np.int64]:
    """Where each name of ``wanted`` is in ``found``, -1 where it is not ``[G]``.

    Of equal names the first is the first of ``found``, the second its second, and so on.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(found):
        places.setdefault(name, []).append(place)
    left = {name: iter(where) for name, where in places.items()}
    return np.array([next(left.get(name, iter(())), -1) for name in wanted], dtype=np.int64)


def select_columns(x: Tensor, index: Tensor) -> Tensor:
    """The columns ``index`` ``[G]``, without repeats, of features ``[N, F]``, in their layout."""
    if not is_sparse(x):
        return x.index_select(1, index)
    place = index.new_full((x.size(1),), -1)
    place[index] = torch.arange(index.numel(), device=index.device)
    row, col = row_of_entries(x), place[x.col_indices()]
    kept = (col >= 0).nonzero().view(-1)
    kept = kept[torch.argsort(row[kept] * index.numel() + col[kept])]
    counts = torch.bincount(row[kept], minlength=x.size(0))
    ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    parts, size = (ends, col[kept], x.values()[kept]), (x.size(0), index.numel())
    return torch.sparse_csr_tensor(*parts, size, check_invariants=False)


def normalize_rows(x: Tensor) -> Tensor:
    """Divide each row of a non-negative ``torch.sparse_csr`` matrix by its sum, if that is above 1.

    The result is that of :class:`torch_geometric.transforms.NormalizeFeatures` for dense features.
    """
    row = row_of_entries(x)
    total = x.values().new_zeros(x.size(0)).index_add(0, row, x.values()).clamp(min=1.0)
    return with_values(x, x.values() / total[row])


def binary(x: Tensor) -> Tensor:
    """Replace non-zero entries by 1; float32, in the same layout."""
    if is_sparse(x):
        return with_values(x, (x.values() != 0).float())
    return (x != 0).float()


def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its Euclidean norm, a row of zeros by 1; floats, in the same layout."""
    x = x if x.is_floating_point() else x.float()
    if x.size(1) == 0:
        return x
    # Largest entries first: the squares of small numbers are zero in single precision.
    if not is_sparse(x):
        x = x / _or_one(x.abs().amax(dim=1, keepdim=True))
        return x / _or_one(torch.linalg.vector_norm(x, dim=1, keepdim=True))
    row, values = row_of_entries(x), x.values()
    zeros = values.new_zeros(x.size(0))
    values = values / _or_one(zeros.scatter_reduce(0, row, values.abs(), "amax"))[row]
    norm = zeros.index_add(0, row, values**2).sqrt()
    return with_values(x, values / _or_one(norm)[row])


def _or_one(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, 1.0)


def scale_features(x: Tensor, form: str | None = None) -> Tensor:
    """Scale features as the settings of a run say, in the same layout.

    Args:
        x: Features ``[N, F]``, dense or ``torch.sparse_csr``.
        form: ``"binary"``: 1 where an entry is not zero, whatever its sign and size; ``"unit"``:
            see :func:`unit_rows`; ``"rows"`` or ``None``: as they were loaded. (default: ``None``)

    Raises:
        ValueError: If binary features are asked for and no entry is 0, as in measured numbers: all
            nodes would be alike.
    """
    if form == "unit":
        return unit_rows(x)
    if form != "binary":
        return x
    entries = int((x.values() if is_sparse(x) else x).count_nonzero())
    if entries == x.numel() > 0:
        raise ValueError(
            "expected some features of 0 for features='binary' "
            f"(got {entries} of {x.numel()} that are not 0, so that all nodes would be alike)"
        )
    return binary(x)


def entries_per_row(x: Tensor) -> Tensor:
    """Number of non-zero entries of each row, int64 ``[N]``."""
    if not is_sparse(x):
        return torch.count_nonzero(x, dim=1)
    present = (x.values() != 0).long()
    return present.new_zeros(x.size(0)).index_add(0, row_of_entries(x), present)

"""Forward pass of several diffusion classifiers on one graph, with one batched solve."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from grandpp.layers.batched import can_batch, solve_batched
from grandpp.models.base import Output
from grandpp.models.diffusion import DiffusionClassifier
from grandpp.models.features import SparseFeatures


@dataclass(frozen=True)
class Member:
    """A model and its own inputs in a forward pass of several models.

    Args:
        model: The model.
        source_index: Its trusted nodes, see :meth:`NodeModel.classify`. (default: ``None``)
        wanted: Nodes whose logits to return. (default: ``None``, all)
        stream: Context manager that is entered whenever the model may draw random numbers, so that
            it can have a random stream of its own. (default: torch's, shared by all models)
    """

    model: DiffusionClassifier
    source_index: Tensor | None = None
    wanted: Tensor | None = None
    stream: AbstractContextManager[Any] = field(default_factory=nullcontext)


def can_classify_batched(model: object) -> bool:
    """Whether :func:`classify_batched` accepts a model: linear diffusion solved exactly."""
    return isinstance(model, DiffusionClassifier) and can_batch(model.conv)


def classify_batched(
    members: Sequence[Member],
    x: Tensor | SparseFeatures,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
) -> list[Output]:
    """Return the result of every model's ``classify``, by one batched solve.

    Encoders, attention, sources and decoders are computed model by model; the sparse products,
    which are most of the work, for all models at once.

    Args:
        members: Models of one kind that differ only in their parameters.
        x, edge_index, edge_weight: As in :meth:`NodeModel.classify`, the same for all.

    Raises:
        ValueError: If the models cannot be batched.
        NonFiniteFeaturesError: If a model's encoded features are NaN or infinite.
        SolveError: If the batched solve fails.
    """
    convs: list[Any] = [member.model.conv for member in members]
    if len({(conv.time, conv.solver) for conv in convs}) != 1:
        raise ValueError("expected models with one time and one solver (got several)")
    bound: list[Any] = []
    for member in members:
        model: Any = member.model
        with member.stream:
            encoded = model.encoder(x)
        trusted = model.trusted(member.source_index)
        bound.append(model.conv.bind(encoded, edge_index, edge_weight, *trusted))
    outputs = []
    for member, solved in zip(members, solve_batched(convs[0], bound), strict=True):
        with member.stream:
            logits = member.model.decode(solved.features, member.wanted)
        outputs.append(Output(logits, solved.stats))
    return outputs

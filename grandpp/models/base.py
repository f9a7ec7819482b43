"""The interface of every node classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from grandpp.linalg import LOCAL, Reductions
from grandpp.models.class_shares import adjust_to_shares
from grandpp.models.features import SparseFeatures
from grandpp.solvers import SolveStats

UNKNOWN = -1
"""Label of a node whose class is not known."""


class Output(NamedTuple):
    """Logits ``[N, C]`` and, for models that solve an ODE, the cost of the solve."""

    logits: Tensor
    stats: SolveStats | None


class NodeModel(nn.Module, ABC):
    """A model from node features and a graph to class logits ``[N, C]``.

    A model may learn from the features and the graph that it classifies, and from the labels of
    the training nodes: by the gradient of a loss, by :meth:`fit_labels`, or both.
    """

    @property
    def is_trained(self) -> bool:
        """Whether the model has parameters to train by gradient."""
        return any(p.requires_grad for p in self.parameters())

    def fit_labels(self, index: Tensor, labels: Tensor) -> None:
        """Give the model the labels of the training nodes, once, before training and classifying.

        Models that only learn by gradient ignore them.

        Args:
            index: Training nodes, int64 ``[I]``.
            labels: Their classes, int64 ``[I]``; a node of class :data:`UNKNOWN` is left out.
        """

    def fit_features(self, x: Tensor | SparseFeatures, reductions: Reductions = LOCAL) -> None:
        """Give the model the features of the graph to train on, once, before training.

        Most models take nothing from them.

        Args:
            x: Features ``[N, F]``.
            reductions: Sums over all processes, where each has the features of its nodes.
                (default: those of one process)
        """

    def fit_shares(self, trained: Tensor) -> None:
        """Give the model the shares of the classes in its loss, once, before training.

        Most models take nothing from them.

        Args:
            trained: Shares ``[C]``, see :func:`grandpp.models.training_shares`.
        """

    def adjust(self, logits: Tensor, reductions: Reductions = LOCAL) -> Tensor:
        """Return the logits of all nodes of a graph as the model wants them to be evaluated.

        Most models want no change; some adjust them to the shares of the classes among the nodes,
        so that every logit depends on all nodes.

        Args:
            logits: Logits of the model in evaluation mode ``[N, C]``.
            reductions: Sums over all processes, where each has the logits of its nodes.
                (default: those of one process)
        """
        trained: Tensor | None = getattr(self, "trained_shares", None)
        return logits if trained is None else adjust_to_shares(logits, trained, reductions)

    @abstractmethod
    def classify(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Output:
        """Return logits and cost.

        Args:
            x: Features ``[N, F]``: dense, ``torch.sparse_csr`` or :class:`SparseFeatures`.
            edge_index: int64 ``[2, E]``.
            edge_weight: ``[E]``. (default: ``None``)
            source_index: Trusted nodes, ``[I]`` or bool ``[N]``; models without a source ignore
                them. (default: ``None``)
            wanted: Nodes whose logits to return, ``[I]`` or bool ``[N]``; the others are not
                decoded. (default: ``None``, all)
        """

    def forward(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
    ) -> Tensor:
        """Return the logits ``[N, C]``; arguments as in :meth:`classify`."""
        return self.classify(x, edge_index, edge_weight, source_index).logits


class PlainClassifier(NodeModel):
    """A classifier without an ODE and without a source: subclasses implement :meth:`logits`."""

    @abstractmethod
    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the logits ``[N, C]``; arguments as in :meth:`classify`."""

    def classify(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Output:
        """Return the logits; see :meth:`NodeModel.classify`."""
        logits = self.logits(x, edge_index, edge_weight)
        return Output(logits if wanted is None else logits[wanted], None)


def check_unweighted(edge_weight: Tensor | None, model: str) -> None:
    """Refuse edge weights for a model that does not take them.

    Raises:
        ValueError: If there are edge weights.
    """
    if edge_weight is not None:
        raise ValueError(
            f"expected no 'edge_weight' (got {edge_weight.numel()} of them): {model} takes none"
        )

"""Linear and nonlinear graph diffusion as PyG message passing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch_geometric.nn.conv import MessagePassing

from grandpp.fields.attention import EdgeAttention, check_choice
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion, csr_product, generator
from grandpp.fields.entry import field_entry, solver_entry
from grandpp.fields.finite import NonFiniteFeaturesError, check_parameters
from grandpp.fields.messages import edges_of, makes_messages, remember_propagate
from grandpp.graph import Graph, prepare_graph, row_normalize
from grandpp.linalg import LOCAL, Reductions, all_finite, attention_product, triton_for
from grandpp.linalg.arguments import check_integer, check_number

MODES: tuple[str, ...] = ("linear", "nonlinear")


class GraphDiffusion(MessagePassing):
    r"""The right-hand side of graph neural diffusion, bound to a graph once per solve.

    Source: GRAND, thesis (4.5)-(4.7); the factors alpha and beta as in the GRAND code base.

    .. math:: x'(t) = \alpha (A - I) x(t) + \beta x(0)

    where A is row-stochastic: the random walk :math:`D^{-1} W` without attention, attention at
    x(0) in linear mode, attention at x(t) in nonlinear mode.

    Args:
        channels: Size F of the node features.
        mode: ``"linear"`` or ``"nonlinear"``. (default: ``"linear"``)
        attention: Score of :class:`EdgeAttention`, or ``None`` for the random walk.
            (default: ``"scaled_dot"``)
        heads: Number of heads. (default: ``4``)
        attention_channels: Size of all heads together.
            (default: ``None``, ``channels`` rounded up to a multiple of ``heads``)
        normalization: ``"softmax"`` or ``"squareplus"``. (default: ``"softmax"``)
        self_loop_weight: Weight of a node's loop before normalisation. (default: ``1.0``)
        learn_alpha: Learn alpha = sigmoid(alpha_logit), 0.5 at the start, instead of alpha = 1.
            (default: ``True``)
        learn_beta: Add beta x(0) with learned beta, 0 at the start. (default: ``False``)

    Raises:
        ValueError: For an unknown choice or a number out of range.
    """

    takes_graphs = False
    """Whether a :class:`grandpp.graph.Graph` may stand in place of ``edge_index``."""

    def __init__(
        self,
        channels: int,
        *,
        mode: str = "linear",
        attention: str | None = "scaled_dot",
        heads: int = 4,
        attention_channels: int | None = None,
        normalization: str = "softmax",
        self_loop_weight: float = 1.0,
        learn_alpha: bool = True,
        learn_beta: bool = False,
    ) -> None:
        super().__init__(aggr="add", flow="source_to_target")  # what the equation means
        remember_propagate(self, GraphDiffusion)
        self._check_choices(channels, mode, attention, heads, self_loop_weight)
        self.channels, self.mode, self.self_loop_weight = channels, mode, self_loop_weight
        self.attention: EdgeAttention | None = None
        if attention is not None:
            if attention_channels is None:
                attention_channels = heads * -(-channels // heads)
            self.attention = EdgeAttention(
                channels, attention_channels, heads, attention, normalization
            )
        self.register_parameter("alpha_logit", None)
        self.register_parameter("beta", None)
        if learn_alpha:
            self.alpha_logit = nn.Parameter(torch.empty(()))
        if learn_beta:
            self.beta = nn.Parameter(torch.empty(()))
        # Its own parameters alone: those of a subclass do not exist yet.
        GraphDiffusion.reset_parameters(self)

    def _check_choices(
        self, channels: int, mode: str, attention: str | None, heads: int, self_loop_weight: float
    ) -> None:
        check_choice("mode", mode, MODES)
        check_integer("'channels'", channels)
        check_integer("'heads'", heads)
        check_number("'self_loop_weight'", self_loop_weight)
        if channels < 1:
            raise ValueError(f"expected 'channels' to be positive (got {channels})")
        if heads < 1:
            raise ValueError(f"expected 'heads' to be positive (got {heads})")
        if not 0 <= self_loop_weight < float("inf"):
            raise ValueError(f"expected 'self_loop_weight' >= 0 (got {self_loop_weight})")
        if mode == "nonlinear" and attention is None:
            raise ValueError(
                "expected an 'attention' in nonlinear mode (got None): without one "
                "the operator does not depend on the state"
            )

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        super().reset_parameters()
        if self.attention is not None:
            self.attention.reset_parameters()
        for scalar in (self.alpha_logit, self.beta):
            if scalar is not None:
                nn.init.zeros_(scalar)

    @field_entry
    def prepare(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None = None
    ) -> LinearDiffusion | NonlinearDiffusion:
        """Bind the field to a graph and the initial features of one solve.

        Args:
            x: Initial node features ``[N, F]``; used by attention and the beta term.
            edge_index: int64 ``[2, E]``, or a sparse matrix ``[N, N]`` with targets as rows (PyG's
                ``adj_t``), whose values are the weights where none are given. It is sorted anew
                in every call; an ``edge_index`` is sorted once. Layers that take graphs also take
                a :class:`grandpp.graph.Graph`, prepared or sharded.
            edge_weight: Non-negative weights ``[E]``. (default: ``None``, all ones)

        Raises:
            TypeError: For features or edges that are no tensor (bipartite graphs have no such
                diffusion).
            ValueError: For features of the wrong shape or type, NaN or infinite weights.
            NonFiniteFeaturesError: For NaN or infinite features; a ValueError too.
            NonFiniteParametersError: For NaN or infinite parameters; a NonFiniteFeaturesError.
            IndexError: For an edge that points to no node.
        """
        if self.mode == "linear" or self.attention is None:
            return self._bind_linear(x, edge_index, edge_weight)
        return self._bind_nonlinear(self.attention, x, edge_index, edge_weight)

    def _coefficients(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None
    ) -> tuple[Graph, Tensor, Tensor, Tensor | None]:
        """The graph, the prior weights ``[nnz]``, alpha, and beta x or ``None``."""
        is_graph = self.takes_graphs and isinstance(edge_index, Graph)
        self._check_features(x, edge_index.csr.reductions if is_graph else LOCAL)  # type: ignore
        check_parameters(self)
        graph, edge_weight = self._graph_of(x, edge_index, edge_weight)
        prior = graph.prior(edge_weight, self.self_loop_weight, like=x)
        alpha = x.new_ones(()) if self.alpha_logit is None else self.alpha_logit.sigmoid()
        source = None if self.beta is None else self.beta * x
        return graph, prior, alpha.to(x.dtype), source

    def _graph_of(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None
    ) -> tuple[Graph, Tensor | None]:
        if not (self.takes_graphs and isinstance(edge_index, Graph)):
            given: Any = edge_index  # what is no tensor is refused
            edges, edge_weight = edges_of(given, edge_weight, x.size(0))
            return prepare_graph(edges, x.size(0)), edge_weight
        if edge_index.num_nodes != x.size(0):
            raise ValueError(
                f"expected node features of shape [{edge_index.num_nodes}, {self.channels}], one "
                f"row per node of the graph (got {list(x.shape)})"
            )
        return edge_index, edge_weight

    def _bind_linear(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None
    ) -> LinearDiffusion:
        graph, prior, alpha, source = self._coefficients(x, edge_index, edge_weight)
        weight = self._operator(x, graph, prior)
        values = generator(graph, weight, alpha)
        is_walk = self.attention is None
        return LinearDiffusion(graph, prior, weight, values, alpha, source, self._product, is_walk)

    def _bind_nonlinear(
        self,
        attention: EdgeAttention,
        x: Tensor,
        edge_index: Tensor | Graph,
        edge_weight: Tensor | None,
    ) -> NonlinearDiffusion:
        graph, prior, alpha, source = self._coefficients(x, edge_index, edge_weight)
        names, parameters = zip(*attention.named_parameters(), strict=True)

        def attend(values: Sequence[Tensor], y: Tensor, prior: Tensor) -> Tensor:
            mapping = dict(zip(names, values, strict=True))
            return functional_call(attention, mapping, (y, graph, prior))

        def aggregate(values: Sequence[Tensor], y: Tensor, prior: Tensor) -> Tensor:
            pair = attention.scaled_pair(y, **dict(zip(names, values, strict=True)))
            return attention_product(graph.csr, *pair, prior, y, attention.normalization)

        field = NonlinearDiffusion(
            graph, attend, tuple(parameters), prior, alpha, source, self._product
        )
        dot = attention.score == "scaled_dot" and {*names} == {"query", "key"}
        fused = field.product is csr_product and graph.csr.reductions.is_local
        if dot and fused and triton_for(x, *parameters) is not None:
            return replace(field, aggregate=aggregate)
        return field

    def _operator(self, x: Tensor, graph: Graph, prior: Tensor) -> Tensor:
        if self.attention is None:
            return row_normalize(graph, prior)
        return self.attention(x, graph, prior)

    @property
    def _product(self) -> Any:
        return self.message_product if makes_messages(self, GraphDiffusion) else csr_product

    @solver_entry
    def attention_weights(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the operator A(x): edges ``[2, E']``, weights ``[E']`` that sum to 1 per target.

        Like ``return_attention_weights`` of :class:`torch_geometric.nn.GATConv`, averaged over
        heads. The edges are those of the caller without loops, in their order, then one loop per
        node. Arguments as in :meth:`prepare`.
        """
        field = self.prepare(x, edge_index, edge_weight)
        return field.graph.edge_index, field.graph.to_user_order(field.operator(x))

    def message_product(self, graph: Graph, weight: Tensor, y: Tensor) -> Tensor:
        """Multiply by explicit message passing: the readable path, ``[nnz, F]`` of memory."""
        values = graph.to_user_order(weight)
        # propagate_type: (x: Tensor, edge_weight: Tensor)
        return self.propagate(graph.edge_index, x=y, edge_weight=values)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """Weigh the source's features: ``[nnz, F]``."""
        return edge_weight.unsqueeze(-1) * x_j

    def _check_features(self, x: Tensor, reductions: Reductions = LOCAL) -> None:
        if not isinstance(x, Tensor) or x.layout != torch.strided:
            kind = str(x.layout) if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"expected node features to be a dense tensor (got {kind})")
        if x.dim() != 2 or x.size(1) != self.channels:
            raise ValueError(
                f"expected node features of shape [N, {self.channels}] (got {list(x.shape)})"
            )
        own = next(self.parameters(), x).dtype
        if x.dtype not in (torch.float32, torch.float64) or x.dtype != own:
            layer = f" for a layer in {own}" if own != x.dtype else ""
            raise ValueError(
                "expected node features in float32 or float64, or in half precision, in the type "
                f"of the layer's parameters (got {x.dtype}{layer})"
            )
        if not reductions.all(all_finite(x)):
            bad = (~torch.isfinite(x)).any(dim=1).nonzero().view(-1)
            raise NonFiniteFeaturesError(
                f"expected finite node features (got NaN or inf at {bad.numel()} "
                f"nodes{f', first at node {int(bad[0])}' if bad.numel() else ' of this process'})"
            )

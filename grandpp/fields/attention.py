r"""Edge scores and their normalisation: features to a row-stochastic diffusivity A(x).

.. math::
    a_{ij} = \frac{1}{H} \sum_{h=1}^{H}
        \frac{w_{ij}\, \nu(s^h_{ij})}{\sum_{k \to i} w_{ik}\, \nu(s^h_{ik})}

with scores s between target i and source j, prior edge weights w (1 for an unweighted edge) and
:math:`\nu = \exp` (softmax) or :math:`\nu(s) = (s + \sqrt{s^2 + 4}) / 2` (squareplus).
Rows sum to 1 for every choice; constant scores give the plain random walk :math:`D^{-1} W`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch_geometric.nn.inits import glorot, ones, zeros

from grandpp.graph import Graph
from grandpp.linalg import (
    CSR,
    attention_weights,
    paired_attention_weights,
    sddmm,
    unit_rows,
)
from grandpp.linalg.arguments import check_integer

ATTENTIONS: tuple[str, ...] = ("scaled_dot", "gat", "cosine", "pearson", "exp_kernel")
NORMALIZATIONS: tuple[str, ...] = ("softmax", "squareplus")
_INNER_PRODUCTS = ("scaled_dot", "cosine", "pearson")

# Fewer, once centred or scaled to length 1, leave a sign alone.
_LEAST_CHANNELS = {"cosine": 2, "pearson": 3}


class EdgeAttention(nn.Module):
    r"""Multi-head edge attention with the scores of GRAND.

    Source: thesis (4.7) for ``"gat"``; the other scores are those of the GRAND code base
    (Chamberlain et al. 2021). With :math:`q = W_Q x`, :math:`k = W_K x` per head of size d:

    - ``"scaled_dot"``: :math:`s_{ij} = \langle q_i, k_j \rangle / \sqrt d`
    - ``"gat"``: :math:`s_{ij} = \mathrm{LeakyReLU}_{0.2}(a^\top [W x_i \Vert W x_j])`
    - ``"cosine"``: :math:`s_{ij} = \langle q_i, k_j \rangle / (|q_i| |k_j|)`
    - ``"pearson"``: the cosine of centred q and k
    - ``"exp_kernel"``: :math:`s_{ij} = \sigma^2 \exp(-|q_i - k_j|^2 / 2 \ell^2)`,
      :math:`\sigma, \ell` learned

    Args:
        channels: Size F of the node features.
        attention_channels: Size of all heads together; a multiple of ``heads``.
        heads: Number H of heads, whose operators are averaged. (default: ``4``)
        score: One of the five above. (default: ``"scaled_dot"``)
        normalization: ``"softmax"`` or ``"squareplus"``. (default: ``"softmax"``)

    Shapes:
        - **input:** features ``[N, F]``, a prepared graph, prior weights ``[nnz]``
        - **output:** row-stochastic weights ``[nnz]`` in the order of ``graph.csr``

    Raises:
        ValueError: For an unknown choice, sizes that do not divide, or fewer than 2 channels per
            head for ``"cosine"`` or 3 for ``"pearson"``.

    Note:
        ``"scaled_dot"`` starts with W_Q = 0, the plain random walk, and leaves it as W_Q learns.
    """

    def __init__(
        self,
        channels: int,
        attention_channels: int,
        heads: int = 4,
        score: str = "scaled_dot",
        normalization: str = "softmax",
    ) -> None:
        super().__init__()
        check_choice("attention", score, ATTENTIONS)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_integer("'heads'", heads)
        check_integer("'attention_channels'", attention_channels)
        if heads < 1 or attention_channels < 1 or attention_channels % heads:
            raise ValueError(
                f"expected 'attention_channels' to be a positive multiple of 'heads' "
                f"(got attention_channels={attention_channels}, heads={heads})"
            )
        least, size = _LEAST_CHANNELS.get(score, 1), attention_channels // heads
        if size < least:
            raise ValueError(
                f"expected at least {least} channels per head for '{score}' (got {size}, with "
                f"attention_channels={attention_channels} and heads={heads}): with fewer every "
                "score is 1, -1 or 0, and its gradient 0"
            )
        self.channels, self.attention_channels, self.heads = channels, attention_channels, heads
        self.score, self.normalization = score, normalization
        self.register_parameter("query", None)
        self.register_parameter("vector", None)
        self.register_parameter("deviation", None)
        self.register_parameter("length", None)
        self.key = nn.Parameter(torch.empty(channels, attention_channels))
        if score == "gat":
            self.vector = nn.Parameter(torch.empty(2, heads, attention_channels // heads))
        else:
            self.query = nn.Parameter(torch.empty(channels, attention_channels))
        if score == "exp_kernel":
            self.deviation = nn.Parameter(torch.empty(1))
            self.length = nn.Parameter(torch.empty(1))
        # Not that of a subclass, whose parameters do not exist yet.
        EdgeAttention.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        glorot(self.key)
        glorot(self.vector)
        (zeros if self.score == "scaled_dot" else glorot)(self.query)
        ones(self.deviation)
        ones(self.length)

    def forward(self, x: Tensor, graph: Graph, prior: Tensor) -> Tensor:
        """Return the head-averaged row-stochastic weights ``[nnz]``."""
        # A subclass may have scores of its own.
        if self.score in _INNER_PRODUCTS and type(self).scores is EdgeAttention.scores:
            return paired_attention_weights(graph.csr, self._ends(x), prior, self.normalization)
        scores = self.scores(x, graph)
        return attention_weights(graph.csr, scores, prior, self.normalization)

    def scores(self, x: Tensor, graph: Graph) -> Tensor:
        """Return the raw scores ``[nnz, H]`` in the order of ``graph.csr``."""
        csr = graph.csr
        if self.score == "gat":
            key = self._split(x @ self.key)
            target, source = (key * self.vector[0]).sum(-1), (key * self.vector[1]).sum(-1)
            return nn.functional.leaky_relu(_sum_ends(target, source, csr), 0.2)
        query, key = self._ends(x).chunk(2, dim=1)
        products = sddmm(csr, query, key)
        if self.score != "exp_kernel":
            return products
        norms = _sum_ends(query.square().sum(-1), key.square().sum(-1), csr)
        # The expanded square can dip below zero by rounding; a distance cannot.
        distance = (norms - 2 * products).clamp(min=0)
        return self.deviation.square() * (-distance / (2 * self.length.square())).exp()

    def _ends(self, x: Tensor) -> Tensor:
        """Queries and then keys of all heads, whose products the scores are, ``[N, 2 H, d]``."""
        # What can be done to the parameters costs less there than done to what they project.
        size = self.attention_channels // self.heads
        scale = math.sqrt(size) if self.score == "scaled_dot" else 1.0
        both = torch.cat([self.query / scale, self.key], dim=1)
        both = both.view(x.size(1), 2 * self.heads, size)
        if self.score == "pearson":
            both = both - both.mean(-1, keepdim=True)
        ends = (x @ both.flatten(1)).view(x.size(0), 2 * self.heads, size)
        return unit_rows(ends) if self.score in ("cosine", "pearson") else ends

    def scaled_pair(self, x: Tensor, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Project features to the two tensors whose inner products are the scaled scores.

        Args:
            x: ``[N, F]``.
            query, key: The parameters W_Q and W_K, ``[F, attention_channels]``.

        Returns:
            Two tensors ``[N, H, d]``.
        """
        # Scaling the parameter costs less than scaling what it projects.
        size = self.attention_channels // self.heads
        return self._split(x @ (query / math.sqrt(size))), self._split(x @ key)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), self.heads, self.attention_channels // self.heads)

    def extra_repr(self) -> str:
        """Name the choices that change the mathematics."""
        return (
            f"{self.channels}, {self.attention_channels}, heads={self.heads}, "
            f"score={self.score}, normalization={self.normalization}"
        )


def _sum_ends(target: Tensor, source: Tensor, csr: CSR) -> Tensor:
    """Sums ``[nnz, H]`` of values ``[N, H]`` at both ends of the edges."""
    source = csr.at_columns(source)
    return target.index_select(0, csr.row) + source.index_select(0, csr.col_long)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ``ValueError`` naming the choices unless ``value`` is one of them."""
    if value not in choices:
        raise ValueError(f"expected '{name}' to be one of {', '.join(choices)} (got '{value}')")

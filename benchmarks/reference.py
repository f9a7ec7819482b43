"""GRAND-l the ordinary way: the yardstick of the benchmarks.

Gathers, products and ``index_add`` along edges in every evaluation, dopri5 of torchdiffeq, direct
back-propagation through it, dense features: what one writes down first, on the same parameters.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import softmax
from torchdiffeq import odeint

from grandpp.fields import EdgeAttention, squareplus
from grandpp.models import DiffusionClassifier


class Reference(torch.nn.Module):
    """Same function as a :class:`DiffusionClassifier` with a linear ``GRANDConv``.

    Args:
        model: The model whose parameters are used.
        edge_index: Edges ``[2, E]`` without self-loops.
        num_nodes: Number of nodes.
        tol: Both tolerances of dopri5.
    """

    def __init__(
        self, model: DiffusionClassifier, edge_index: Tensor, num_nodes: int, tol: float
    ) -> None:
        super().__init__()
        self.model, self.tol, self.num_nodes = model, tol, num_nodes
        loops = torch.arange(num_nodes, device=edge_index.device)
        self.source = torch.cat([edge_index[0], loops])
        self.target = torch.cat([edge_index[1], loops])
        self.evaluations = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[N, C]``."""
        model = self.model
        encoder = model.encoder
        z = self.diffuse(encoder.linear(F.dropout(x, encoder.dropout, self.training)))
        z = F.dropout(torch.relu(model.norm(z)), model.dropout, self.training)
        return model.decoder(z)

    def diffuse(self, x0: Tensor) -> Tensor:
        """Return the state at the end time."""
        conv: Any = self.model.conv
        weight = self._attention(conv.attention, x0)
        alpha = torch.sigmoid(conv.alpha_logit)

        def rate(t: Tensor, x: Tensor) -> Tensor:
            self.evaluations += 1
            messages = weight.unsqueeze(1) * x[self.source]
            return alpha * (torch.zeros_like(x).index_add(0, self.target, messages) - x)

        times = torch.tensor([0.0, conv.time], device=x0.device)
        return odeint(rate, x0, times, method="dopri5", rtol=self.tol, atol=self.tol)[-1]

    def _attention(self, attention: EdgeAttention, x: Tensor) -> Tensor:
        score = self._scores(attention, x)
        if attention.normalization == "softmax":
            return softmax(score, self.target, num_nodes=self.num_nodes).mean(-1)
        strength = squareplus(score)
        total = torch.zeros(self.num_nodes, attention.heads, device=x.device, dtype=x.dtype)
        total = total.index_add(0, self.target, strength)
        return (strength / total[self.target]).mean(-1)

    def _scores(self, attention: EdgeAttention, x: Tensor) -> Tensor:
        """Scores ``[E + N, H]`` of tuned settings (not ``gat``), from both ends of every edge."""
        key = (x @ attention.key).view(self.num_nodes, attention.heads, -1)
        query = (x @ attention.query).view(self.num_nodes, attention.heads, -1)
        q, k = query[self.target], key[self.source]
        if attention.score == "scaled_dot":
            return (q * k).sum(-1) / q.size(-1) ** 0.5
        if attention.score == "exp_kernel":
            distance = (q - k).square().sum(-1)
            return (
                attention.deviation.square() * (-distance / (2 * attention.length.square())).exp()
            )
        if attention.score == "pearson":
            q, k = q - q.mean(-1, keepdim=True), k - k.mean(-1, keepdim=True)
        return F.cosine_similarity(q, k, dim=-1)

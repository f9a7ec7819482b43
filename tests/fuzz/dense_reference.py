"""The equations of the layers on dense matrices in float64, from their documented formulas.

Everything is plain torch and differentiable by autograd. Nothing of the package is used but the
values of a layer's parameters and the names of its choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torchdiffeq import odeint

Parameters = dict[str, Tensor]
Rate = Callable[[Tensor, Tensor], Tensor]
March = Callable[[Rate, Tensor, float], Tensor]


def leaves(conv: torch.nn.Module) -> Parameters:
    """The parameters of a layer as new leaves in float64."""
    return {
        name: p.detach().double().clone().requires_grad_(p.requires_grad)
        for name, p in conv.named_parameters()
    }


def weights(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None, loop: float) -> Tensor:
    """W ``[N, N]`` with targets as rows, and a loop where a node has none or receives nothing."""
    j, i = edge_index
    if edge_weight is None:
        edge_weight = torch.ones(j.numel(), dtype=torch.float64)
    w = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    w = w.index_put((i, j), edge_weight, accumulate=True)
    own = torch.zeros(num_nodes, dtype=torch.bool).index_fill(0, i[i == j], True)
    diagonal = torch.where(own, w.diagonal(), torch.full_like(w.diagonal(), loop))
    nothing = (w.sum(1) - w.diagonal() + diagonal) <= 0
    diagonal = torch.where(nothing, torch.ones_like(diagonal), diagonal)
    return w - torch.diag(w.diagonal()) + torch.diag(diagonal)


def attention(module: Any, p: Parameters, x: Tensor, w: Tensor) -> Tensor:
    """Head-averaged attention A(x) ``[N, N]``."""
    n, heads = x.size(0), module.heads
    size = module.attention_channels // heads

    def heads_of(name: str) -> Tensor:
        return (x @ p[f"attention.{name}"]).reshape(n, heads, size).transpose(0, 1)

    k = heads_of("key")
    if module.score == "gat":
        to_target, to_source = p["attention.vector"]
        s = (k * to_target[:, None]).sum(-1)[:, :, None] + (k * to_source[:, None]).sum(-1)[:, None]
        s = torch.where(s > 0, s, 0.2 * s)
    else:
        s = _pair_scores(module.score, p, heads_of("query"), k)
    if module.normalization == "softmax":
        # Only edges that count set the maximum.
        top = s.masked_fill(w == 0, -torch.inf).amax(-1, keepdim=True) if n else s
        strength = w * (s - top.detach()).exp()
    else:
        # The same as (s + sqrt(s^2 + 4)) / 2, without cancellation.
        strength = w * torch.where(s > 0, s + (s * s + 4).sqrt(), 4 / ((s * s + 4).sqrt() - s)) / 2
    return (strength / strength.sum(-1, keepdim=True)).mean(0)


def _pair_scores(score: str, p: Parameters, q: Tensor, k: Tensor) -> Tensor:
    if score == "scaled_dot":
        return q @ k.mT / q.size(-1) ** 0.5
    if score == "exp_kernel":
        square = (q[:, :, None] - k[:, None]).square().sum(-1)
        return p["attention.deviation"] ** 2 * (-square / (2 * p["attention.length"] ** 2)).exp()
    if score == "pearson":
        q, k = q - q.mean(-1, keepdim=True), k - k.mean(-1, keepdim=True)
    return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT


@dataclass(frozen=True)
class Classes:
    """Closed classes of a chain (sets that it never leaves), and its weak components.

    Args:
        closed: The nodes of each closed class.
        transient: All other nodes.
        weak: Weak component of each node.
    """

    closed: list[Tensor]
    transient: Tensor
    weak: Tensor

    @classmethod
    def of(cls, a: Tensor) -> Classes:
        pattern = (a.detach() > 0).numpy()
        count, label = connected_components(pattern, directed=True, connection="strong")
        closed, inside = [], np.zeros(len(a), dtype=bool)
        for c in range(count):
            members = label == c
            if not pattern[members][:, ~members].any():
                closed.append(torch.from_numpy(np.flatnonzero(members)))
                inside |= members
        _, weak = connected_components(pattern, directed=True, connection="weak")
        return cls(closed, torch.from_numpy(np.flatnonzero(~inside)), torch.from_numpy(weak).long())


def stationary(a: Tensor, members: Tensor) -> Tensor:
    """The stationary distribution of a closed class."""
    m = len(members)
    rows = torch.eye(m, dtype=a.dtype) - a[members][:, members].T
    rows = torch.cat([rows[:-1], torch.ones(1, m, dtype=a.dtype)])
    right = torch.zeros(m, dtype=a.dtype)
    right[-1] = 1
    return torch.linalg.solve(rows, right)


def limit(a: Tensor, alpha: Tensor, x: Tensor, source: Tensor) -> Tensor:
    r"""The limit of x' = alpha (A - I) x + s for a source balanced in every closed class.

    In a closed class the stationary mean stays; a transient node tends to the absorption
    probabilities times what its closed classes tend to, plus what its own source brings.
    """
    classes = Classes.of(a)
    z, s = torch.zeros_like(x), source / alpha
    for members in classes.closed:
        pi = stationary(a, members)
        block = a[members][:, members]
        system = torch.eye(len(members), dtype=a.dtype) - block + pi.expand(len(members), -1)
        right = s[members] - pi @ s[members] + pi @ x[members]
        z = z.index_put((members,), torch.linalg.solve(system, right))
    t = classes.transient
    if len(t):
        system = torch.eye(len(t), dtype=a.dtype) - a[t][:, t]
        z = z.index_put((t,), torch.linalg.solve(system, a[t] @ z + s[t]))
    return z


def phi(matrix: Tensor, time: float, x: Tensor, source: Tensor) -> Tensor:
    """Solution at ``time`` of x' = M x + s: one exponential of the augmented matrix."""
    n, f = x.shape
    whole = torch.zeros(n + f, n + f, dtype=x.dtype)
    whole[:n, :n], whole[:n, n:] = matrix, source
    return (torch.matrix_exp(time * whole) @ torch.cat([x, torch.eye(f, dtype=x.dtype)]))[:n]


def walk_measure(a: Tensor, alpha: Tensor, degrees: Tensor, time: float) -> Tensor:
    r"""What diffusion carries the degrees of closed classes to.

    .. math:: \mu_\tau = e^{\tau (A^\top - I)} \mu, \qquad \tau = \alpha T

    with the degrees of closed classes as mu; for T = infinity the stationary measure.
    """
    classes = Classes.of(a)
    start = degrees.index_fill(0, classes.transient, 0.0)
    if time == float("inf"):
        pi = torch.zeros_like(start)
        for members in classes.closed:
            pi = pi.index_put((members,), stationary(a, members) * start[members].sum())
        return pi
    backward = alpha * (a - torch.eye(len(a), dtype=a.dtype)).T
    return torch.matrix_exp(time * backward) @ start


def balanced_mean(
    a: Tensor, alpha: Tensor, degrees: Tensor, time: float, x: Tensor, trusted: Tensor
) -> Tensor:
    """x-hat ``[N, F]`` of the balanced source."""
    classes = Classes.of(a)
    share = trusted * walk_measure(a, alpha, degrees, time) / degrees
    mean = torch.zeros_like(x)
    for members in classes.closed:
        total = share[members].sum()
        if bool(total > 0):
            value = share[members] @ x[members] / total
            mean = mean.index_put((members,), value.expand(len(members), -1))
    for i in classes.transient.tolist():
        beside = classes.weak == classes.weak[i]
        total = trusted[beside].sum()
        if bool(total > 0):
            mean = mean.index_put((torch.tensor([i]),), trusted[beside] @ x[beside] / total)
    return mean


@dataclass(frozen=True)
class Problem:
    """A layer's equation on one graph.

    Args:
        operator: A(x) ``[N, N]``.
        alpha, beta: Factors.
        w: Weights before normalisation ``[N, N]``.
        x: Features ``[N, F]``.
        batch: Graph of each node.
    """

    operator: Callable[[Tensor], Tensor]
    alpha: Tensor
    beta: Tensor
    w: Tensor
    x: Tensor
    batch: Tensor

    @classmethod
    def of(
        cls,
        conv: Any,
        p: Parameters,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None,
        batch: Tensor | None = None,
    ) -> Problem:
        n = x.size(0)
        w = weights(edge_index, n, edge_weight, conv.self_loop_weight)
        one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)

        def operator(y: Tensor) -> Tensor:
            if conv.attention is None:
                return w / w.sum(1, keepdim=True)
            return attention(conv.attention, p, y, w)

        alpha = p["alpha_logit"].sigmoid() if "alpha_logit" in p else one
        batch = torch.zeros(n, dtype=torch.long) if batch is None else batch
        return cls(operator, alpha, p.get("beta", zero), w, x, batch)

    @property
    def degrees(self) -> Tensor:
        return self.w.sum(1)

    def source(
        self, module: Any, gain: Tensor, trusted: Tensor | None, time: float
    ) -> tuple[Tensor, Tensor]:
        """alpha g s of :class:`TrustedSource`, and the initial state."""
        x, d = self.x, self.degrees.unsqueeze(-1)
        trusted = torch.zeros(len(x), dtype=x.dtype) if trusted is None else trusted.to(x.dtype)
        if module.kind == "balanced":
            mean = balanced_mean(self.operator(x), self.alpha, self.degrees, time, x, trusted)
        else:
            mean = self._mean_of_each_graph(trusted)
        deviation = trusted.unsqueeze(-1) * (x - mean)
        s = deviation / d if module.kind == "balanced" else deviation
        if module.initial == "zero":
            start = deviation / d
        elif module.initial == "shifted":
            ones = torch.ones(len(x), dtype=x.dtype)
            start = (
                x - self._mean_of_each_graph(ones) + self._mean_of_each_graph(ones, deviation / d)
            )
        else:
            start = x
        return self.alpha * gain * s, start

    def _mean_of_each_graph(self, weight: Tensor, values: Tensor | None = None) -> Tensor:
        values = self.x if values is None else values
        same = (self.batch[:, None] == self.batch).to(values.dtype) * weight
        return same @ values / same.sum(1, keepdim=True).clamp(min=1e-300)


def solution(
    conv: Any,
    p: Parameters,
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    trusted: Tensor | None = None,
    batch: Tensor | None = None,
    steps: int | None = None,
) -> Tensor:
    """What a layer returns, from the formulas in its docstring.

    Args:
        conv, p, x, edge_index, edge_weight, trusted, batch: The layer, its parameters and input.
        steps: Number of steps of backward Euler, ``None`` for the exact solution.
    """
    march = integrate if steps is None else partial(backward_euler, steps=steps)
    problem = Problem.of(conv, p, x, edge_index, edge_weight, batch)
    name = type(conv).__name__
    if name == "CGNNConv":
        return _cgnn(conv, problem, march)
    push, start = problem.beta * x, x
    module = getattr(conv, "source", None)
    if module is not None:
        gain = p.get("source.gain", torch.tensor(module.initial_gain, dtype=torch.float64))
        extra, start = problem.source(module, gain, trusted, conv.time)
        push = push + extra
    if name == "HeavyBallConv":
        return _heavy_ball(conv, p, problem, push, march)
    frozen = problem.operator(x) if conv.mode == "linear" else None
    if frozen is not None and march is integrate:
        if conv.time == float("inf"):
            return limit(frozen, problem.alpha, start, push)
        generator = problem.alpha * (frozen - torch.eye(len(x), dtype=x.dtype))
        return phi(generator, conv.time, start, push)

    def rate(t: Tensor, y: Tensor) -> Tensor:
        a = problem.operator(y) if frozen is None else frozen
        return problem.alpha * (a @ y - y) + push

    return march(rate, start, conv.time)


def _cgnn(conv: Any, problem: Problem, march: March) -> Tensor:
    scale = problem.degrees.rsqrt()
    eye = torch.eye(len(problem.x), dtype=torch.float64)
    a = conv.alpha / 2 * (eye + scale[:, None] * problem.w * scale)
    if march is not integrate:
        return march(lambda t, y: a @ y - y + problem.x, problem.x, conv.time)
    return phi(a - eye, conv.time, problem.x, problem.x)


def _heavy_ball(conv: Any, p: Parameters, problem: Problem, push: Tensor, march: March) -> Tensor:
    x, n = problem.x, problem.x.size(0)
    m = torch.zeros_like(x)
    if conv.momentum is not None:
        m = x @ p["momentum.weight"].T + p["momentum.bias"]
    frozen = problem.operator(x) if conv.mode == "linear" else None

    def force(h: Tensor) -> Tensor:
        a = problem.operator(h) if frozen is None else frozen
        return problem.alpha * (a @ h - h) + push

    rate = equation_of_motion(conv.dynamics, p, force)
    state = [x, m, m.square()] if conv.kind == "adamnode" else [x, m]
    return march(rate, torch.stack(state), conv.time)[0] if n else x


def equation_of_motion(
    dynamics: Any, p: Parameters, force: Callable[[Tensor], Tensor], prefix: str = "dynamics."
) -> Callable[[Tensor, Tensor], Tensor]:
    """The right-hand side of a second-order equation or of Adam, from the papers' formulas."""
    kind = type(dynamics).__name__

    def fixed(name: str) -> Tensor:
        return getattr(dynamics, f"fixed_{name}")

    def adam(t: Tensor, state: Tensor) -> Tensor:
        h, m, v = state
        alpha, beta = (
            p[f"{prefix}{c}_logit"].sigmoid() if f"{prefix}{c}_logit" in p else fixed(c)
            for c in ("alpha", "beta")
        )
        f = force(h)
        velocity = -m / ((1 + v.exp()).log() + dynamics.epsilon).sqrt()
        return torch.stack([velocity, (1 - alpha) * (-f - m), (1 - beta) * (f * f - v)])

    def ball(t: Tensor, state: Tensor) -> Tensor:
        h, m = state
        omega = p.get(f"{prefix}omega")
        gamma = fixed("gamma") if omega is None else dynamics.max_gamma * omega.sigmoid()
        velocity, pull = m, torch.zeros_like(h)
        if kind == "GeneralizedHeavyBall":
            chi = p.get(f"{prefix}chi")
            pull = (fixed("xi") if chi is None else (1 + chi.exp()).log()) * h
            velocity = {
                "tanh": torch.tanh,
                "identity": lambda m: m,
                "hardtanh": lambda m: m.clamp(-5, 5),
            }[dynamics.activation](m)
        return torch.stack([velocity, force(h) - gamma * m - pull])

    return adam if kind == "Adam" else ball


def integrate(rate: Rate, y0: Tensor, time: float) -> Tensor:
    """Solve a dense equation to a tight tolerance."""
    if time == 0 or y0.numel() == 0:
        return y0
    ts = torch.tensor([0.0, time], dtype=torch.float64)
    # A step that ends on time: the interpolant of dopri8 is much less accurate than its steps.
    options = {"step_t": ts[1:]}
    return odeint(rate, y0, ts, method="dopri8", rtol=1e-9, atol=1e-10, options=options)[-1]


def backward_euler(rate: Rate, y0: Tensor, time: float, steps: int) -> Tensor:
    """Equal steps z = y + h f(z), whose equations are so short that iterating them converges."""
    h, y = time / steps, y0
    for k in range(1, steps + 1):
        t, z = torch.tensor(k * h, dtype=torch.float64), y
        for _ in range(_ITERATIONS):
            z = y + h * rate(t, z)
        y = z
    return y


# Contracts by h times the Lipschitz constant of f, at most about 1/2.
_ITERATIONS = 50

"""Shares of the classes among the nodes, where training labels have other shares."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.linalg import LOCAL, Reductions

_ROUNDS = 20


def training_shares(label: Tensor, weight: Tensor | None, num_classes: int) -> Tensor:
    """Shares of the classes in a loss ``[C]``, which sum to 1.

    Args:
        label: Classes that are trained on, int64 ``[I]``, at least one.
        weight: Their weights in the loss ``[I]``, not negative. (``None``: all alike)
        num_classes: Number C of classes.
    """
    weight = torch.ones_like(label, dtype=torch.float) if weight is None else weight
    total = weight.new_zeros(num_classes).index_add(0, label, weight)
    return total / total.sum()


def adjust_to_shares(logits: Tensor, trained: Tensor, reductions: Reductions = LOCAL) -> Tensor:
    r"""Adjust logits to the shares of the classes among the nodes, which are estimated from them.

    Source: Saerens, Latinne and Decaestecker, *Adjusting the outputs of a classifier to new a
    priori probabilities: a simple procedure*, Neural Computation 14 (2002), (2.2) and (2.9).
    Expectation-maximisation from :math:`\pi = \rho`:

    .. math:: q_{ic} \propto \frac{\pi_c}{\rho_c}\, \mathrm{softmax}(z_i)_c, \qquad
        \pi_c = \frac1N \sum_i q_{ic}, \qquad z'_{ic} = z_{ic} + \log \frac{\pi_c}{\rho_c}

    with the shares rho of the classes in training. As many labels of every class are drawn for a
    low-label split, though classes differ in size; a model that learns from them names small
    classes too often. The probabilities must be about right: where all are nearly uniform, the
    estimate drifts towards few classes.

    Args:
        logits: Logits z of all nodes ``[N, C]``.
        trained: Shares rho in training ``[C]``, not negative. A class of share 0 keeps its logit.
        reductions: Sums over all processes, where each has the logits of its nodes.
            (default: those of one process)

    Returns:
        Logits z' ``[N, C]``. Logits that name the classes as often as they were trained on stay
        what they are.

    Cost: 20 rounds of two products of sizes [N, C] and [C]; over several processes one sum of C
    numbers per round.
    """
    proba = torch.softmax(logits, dim=1)
    nodes = reductions.sum(proba.new_tensor(float(len(proba))))
    tiny = torch.finfo(proba.dtype).tiny
    met = trained > 0
    ratio = torch.ones_like(proba[0] if len(proba) else trained.to(proba))
    for _ in range(_ROUNDS):
        named = reductions.sum(proba.t() @ (1 / (proba @ ratio).clamp(min=tiny)))
        ratio = torch.where(met, ratio * named / (nodes * trained.clamp(min=tiny)), ratio)
        ratio = ratio.clamp(min=tiny)
    return logits + ratio.log()

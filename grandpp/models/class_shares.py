"""Shares of the classes among the nodes, where training labels have other shares."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.linalg import LOCAL, Reductions

_ROUNDS = 20
_ROUNDING = 1e-2  # of a sum of shares in half precision


def training_shares(
    label: Tensor, weight: Tensor | None, num_classes: int, reductions: Reductions = LOCAL
) -> Tensor:
    """Shares of the classes in a loss ``[C]``, which sum to 1.

    Args:
        label: Classes that are trained on, int64 ``[I]``.
        weight: Their weights in the loss ``[I]``, not negative. (``None``: all alike)
        num_classes: Number C of classes.
        reductions: Sums over all processes, where each has some of the labels.
            (default: those of one process)

    Raises:
        ValueError: If no label has a weight.
    """
    weight = torch.ones_like(label, dtype=torch.float) if weight is None else weight
    total = reductions.sum(weight.new_zeros(num_classes).index_add(0, label, weight))
    if not bool(total.sum() > 0):
        raise ValueError("expected a label with a positive weight (got none)")
    return total / total.sum()


def share_correction(logits: Tensor, trained: Tensor, reductions: Reductions = LOCAL) -> Tensor:
    r"""Estimate how much more frequent every class is among the nodes than it was in training.

    Source: Saerens, Latinne and Decaestecker, *Adjusting the outputs of a classifier to new a
    priori probabilities: a simple procedure*, Neural Computation 14 (2002), section 2.
    Expectation-maximisation from :math:`\pi = \rho`:

    .. math:: q_{ic} \propto \frac{\pi_c}{\rho_c}\, \mathrm{softmax}(z_i)_c, \qquad
        \pi_c = \frac1N \sum_i q_{ic}

    with the shares rho of the classes in training. As many labels of every class are drawn for a
    low-label split, though classes differ in size; a model that learns from them names small
    classes too often. The probabilities must be about right: where all are nearly uniform, or nodes
    are few, the estimate drifts towards few classes.

    Args:
        logits: Logits z of all nodes ``[N, C]``; they are not changed.
        trained: Shares rho in training ``[C]``, not negative, of sum 1. Classes of share 0 are left
            out: the others compete among themselves.
        reductions: Sums over all processes, where each has the logits of its nodes.
            (default: those of one process)

    Returns:
        log(pi / rho) ``[C]``, to be added to logits, in single precision at least; 0 for a class
        of share 0, and everywhere if the mean probabilities are rho.

    Raises:
        ValueError: If there is not one share per class, or they are no shares.

    Cost: 20 rounds of two products of sizes [N, C] and [C]; over several processes one sum of C
    numbers per round.
    """
    _check(logits, trained)
    dtype = torch.promote_types(logits.dtype, torch.float32)  # half precision counts to 65504
    with torch.autocast(logits.device.type, enabled=False):
        trained = trained.to(logits.device, dtype)
        met = trained > 0
        proba = torch.softmax(logits.to(dtype).masked_fill(~met, -torch.inf), dim=1)
        nodes = reductions.sum(proba.new_tensor(float(len(proba))))
        tiny = torch.finfo(dtype).tiny
        ratio = torch.ones_like(trained)
        for _ in range(_ROUNDS):
            named = reductions.sum(proba.t() @ (1 / (proba @ ratio).clamp(min=tiny)))
            ratio = torch.where(met, ratio * named / (nodes * trained.clamp(min=tiny)), ratio)
            ratio = ratio.clamp(min=tiny)
        return ratio.log()


def adjust_to_shares(logits: Tensor, trained: Tensor, reductions: Reductions = LOCAL) -> Tensor:
    r"""Adjust logits to the shares of the classes among their nodes, which are estimated from them.

    Source: as of :func:`share_correction`, with the same arguments, errors and cost.

    .. math:: z'_{ic} = z_{ic} + \log \frac{\pi_c}{\rho_c}

    Every logit depends on all nodes. For other nodes than those that the shares are estimated from,
    add the result of :func:`share_correction` to their logits.

    Returns:
        Logits z' ``[N, C]`` of the type of the logits.
    """
    return logits + share_correction(logits, trained, reductions).to(logits.dtype)


def _check(logits: Tensor, trained: Tensor) -> None:
    if logits.dim() != 2 or trained.shape != logits.shape[1:]:
        raise ValueError(
            "expected logits [N, C] and one share per class "
            f"(got shapes {list(logits.shape)} and {list(trained.shape)})"
        )
    given = trained.detach().double()
    if not bool((given >= 0).all() and (given.sum() - 1).abs() <= _ROUNDING):
        raise ValueError(f"expected shares >= 0 of sum 1 (got {given.tolist()})")

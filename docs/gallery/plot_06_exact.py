r"""
The exact solver against dopri5
===============================

GRAND-l and GRAND++-l are linear: attention is computed once, at :math:`t = 0`. Their solution is
the action of a matrix exponential, and no step sizes are needed:

.. math::
    x(T) = e^{T \alpha (A - I)}\, x(0) + T \int_0^1 e^{u T \alpha (A - I)}\, du\; s .

Because :math:`A` is row-stochastic, cutting the series :math:`e^{\tau (A - I)} = e^{-\tau} \sum_k
\tfrac{\tau^k}{k!} A^k` (uniformisation) has an error bound that is known before the first
product. Where :math:`A` is a random walk on an undirected graph, Chebyshev polynomials take fewer
products still, about the square root of :math:`T`. This is ``solver="exact"``, which ``"auto"``
takes for these layers. Dormand and Prince's dopri5, the solver of the papers, computes the same
by steps with error control.

Source: Grassmann, *Transient Solutions in Markovian Queueing Systems* (1977); thesis (4.5)-(4.7)
for the equation.
"""

import matplotlib.pyplot as plt
import torch

from grandpp import GRANDConv
from grandpp.data import sbm

# %%
# One graph, one layer, the two solvers
# -------------------------------------
# The reference is a dense matrix exponential, computed by torch from the operator of the layer.

data = sbm(200, 500, num_classes=4, num_features=50, communities_per_class=2, seed=0)
torch.manual_seed(0)
x = torch.randn(data.num_nodes, 8, dtype=torch.float64)


def layer(**options):
    torch.manual_seed(1)
    return GRANDConv(8, heads=2, **options).double()


def rate(conv):
    """The matrix alpha (A - I): the derivative of every unit vector."""
    field, _ = conv.bind(x, data.edge_index)
    with torch.no_grad():
        return field(torch.zeros((), dtype=torch.float64), torch.eye(200, dtype=torch.float64))


def error(solution, reference):
    return float((solution.y.detach() - reference).abs().max() / reference.abs().max())


end = 18.3
dense = rate(layer(time=end))
reference = torch.linalg.matrix_exp(end * dense) @ x
tolerances = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
rows = {"exact": [], "dopri5": []}
for tolerance in tolerances:
    for name in rows:
        given = {"rtol": tolerance} if name == "exact" else {"rtol": tolerance, "atol": tolerance}
        solution = layer(time=end, solver=name, **given).solve(x, data.edge_index)
        rows[name].append((solution.stats.nfe_forward, error(solution, reference)))
    (p, a), (q, b) = rows["exact"][-1], rows["dopri5"][-1]
    print(
        f"tolerance {tolerance:.0e}: exact {p:3} products, error {a:.1e}; "
        f"dopri5 {q:3} evaluations, error {b:.1e}"
    )

# %%
# The cost as time grows
# ----------------------
# Now the random walk (``attention=None``), at a tolerance of 1e-4.

spans = [2.0, 8.0, 32.0, 128.0, 512.0]
cost = {
    "exact, random walk": ({"solver": "exact", "rtol": 1e-4, "attention": None}, []),
    "exact, attention": ({"solver": "exact", "rtol": 1e-4}, []),
    "dopri5, random walk": (
        {"solver": "dopri5", "rtol": 1e-4, "atol": 1e-4, "attention": None},
        [],
    ),
}
for name, (options, counts) in cost.items():
    for t in spans:
        counts.append(layer(time=t, **options).solve(x, data.edge_index).stats.nfe_forward)
    print(f"{name:20} {counts} products for T = {spans}")

# %%
# What to look at
# ---------------
# Left: for one more digit the exact solver needs two or three more products, and its error stays
# below the tolerance times a small factor. Right: on doubly logarithmic axes a slope of one half
# is the square root of :math:`T`, which the random walk reaches where T is large. Attention makes
# A asymmetric, and the number of products then grows in proportion to T in the end. So does that
# of dopri5: once diffusion has smoothed the features, stability limits its steps.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, points), marker in zip(rows.items(), "os", strict=True):
    left.semilogy(*zip(*points, strict=True), marker=marker, label=name)
left.set_xlabel("sparse products")
left.set_ylabel("relative error")
left.set_title(f"T = {end}, with attention", fontsize=11)
for (name, (_, counts)), marker in zip(cost.items(), "ovs", strict=True):
    right.loglog(spans, counts, marker=marker, label=name)
right.set_xlabel("time T")
right.set_ylabel("sparse products")
right.set_title("tolerance 1e-4", fontsize=11)
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend()
plt.show()

r"""
Heavy-ball diffusion
====================

Diffusion is a gradient flow: features roll downhill in the Dirichlet energy, without inertia. The
heavy ball gives them a momentum, so that they can oscillate and carry a signal further before it
fades.

.. math::
    \text{diffusion:}\quad h' = (A - I)\, h, \qquad
    \text{heavy ball:}\quad h'' + \gamma h' = (A - I)\, h

Source: Xia et al., *Heavy Ball Neural Ordinary Differential Equations* (2021), equation (9), here
with the field of GRAND. Without damping, :math:`\gamma = 0`, the energy :math:`\tfrac12 \lVert m
\rVert_D^2 + \tfrac12 \langle h, (I - A) h \rangle_D` with :math:`m = h'` is conserved, where
:math:`D` are the degrees.
"""

import matplotlib.pyplot as plt
import torch

from grandpp import GRANDConv, HeavyBallConv

# %%
# A pulse on a ring of 60 nodes
# -----------------------------

n, end = 60, 60.0
nodes = torch.arange(n)
edge_index = torch.cat(
    [torch.stack([nodes, (nodes + 1) % n]), torch.stack([(nodes + 1) % n, nodes])], dim=1
)
x = torch.exp(-(((nodes - n // 2) / 3.0) ** 2)).unsqueeze(1).double()
times = torch.linspace(0, end, 121)[1:].tolist()
options = {"time": end, "attention": None, "learn_alpha": False}

# %%
# One solve gives the states at all times
# ---------------------------------------
# ``save_at`` names the times. States of a heavy ball have two parts, position and momentum.

fields = {"diffusion": GRANDConv(1, **options).double().solve(x, edge_index, save_at=times).ys}
energy = {}
for gamma in (0.0, 0.1, 1.0):
    conv = HeavyBallConv(1, gamma=gamma, **options).double()
    solution = conv.solve(x, edge_index, save_at=times)
    position, momentum = solution.ys[:, 0], solution.ys[:, 1]
    name = rf"heavy ball, $\gamma$ = {gamma:g}"
    fields[name] = position
    # All degrees are the same and are left out: A h is the mean of h and its two neighbours.
    mean = (position.roll(1, 1) + position + position.roll(-1, 1)) / 3
    energy[name] = (momentum.square() + position * (position - mean)).sum((1, 2)) / 2
    print(
        f"gamma = {gamma:g}: energy {energy[name][0]:.6f} at t = {times[0]:g}, "
        f"{energy[name][-1]:.6f} at t = {times[-1]:g}, {solution.stats.nfe_forward} products"
    )

# %%
# What to look at
# ---------------
# Each picture shows the ring from left to right and time from top to bottom. Under diffusion the
# pulse widens and stays where it was. Without damping it splits into two waves that travel around
# the ring and meet on the other side. Damping lies between: :math:`\gamma = 1` already looks like
# diffusion. The last panel shows the energy, which is constant for :math:`\gamma = 0`.

figure, panels = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained")
for axes, (name, states) in zip(panels, fields.items(), strict=False):
    shown = axes.imshow(
        states[..., 0].numpy(),
        aspect="auto",
        cmap="RdBu_r",
        vmin=-0.6,
        vmax=0.6,
        extent=(0, n, end, 0),
    )
    axes.set_title(name, fontsize=11)
    axes.set_xlabel("node")
panels[0].set_ylabel("time t")
figure.colorbar(shown, ax=panels[:4].tolist(), label="h", shrink=0.9)
for (name, values), style in zip(energy.items(), ("-", "--", ":"), strict=True):
    panels[4].semilogy(times, values, style, label=name.split(", ")[1])
panels[4].set_xlabel("time t")
panels[4].set_title("energy", fontsize=11)
panels[4].legend()
panels[4].grid(alpha=0.3)
plt.show()

r"""
A continuous normalising flow and its samples
=============================================

A continuous normalising flow turns data into normally distributed noise by a neural ODE, and
keeps account of the density on the way:

.. math::
    z' = f(t, z), \quad z(0) = x, \qquad
    \log p(x) = \log \mathcal N(z(T)) + \int_0^T \operatorname{tr} \partial_z f(t, z)\, dt .

Solved backwards from noise it draws samples. Training maximises :math:`\log p` of the data.

Sources: Chen et al., *Neural Ordinary Differential Equations* (2018), theorem 1; Grathwohl et
al., *FFJORD* (2019). Section 5.4.2 of the thesis solves such flows of images by proximal methods.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons

from grandpp import solve
from grandpp.fields import MLPField
from grandpp.image.flow import ContinuousFlow
from grandpp.solvers import Tsit5

# %%
# Two moons
# ---------

points, _ = make_moons(1000, noise=0.06, random_state=0)
data = torch.tensor(points, dtype=torch.float32)
data = (data - data.mean(0)) / data.std(0)
train, held = data[:800], data[800:]

# %%
# Train
# -----
# In two dimensions the exact trace costs two products with the Jacobian; for images Hutchinson's
# estimator (``divergence="rademacher"``) costs one. Training takes a loose tolerance, which makes
# it fast. What is read off afterwards takes a strict one.

torch.manual_seed(0)
field = MLPField(2, (48, 48), activation="tanh", time=True)
flow = ContinuousFlow(field, (2,), divergence="exact", solver=Tsit5(rtol=1e-2, atol=1e-3))
optimizer = torch.optim.Adam(flow.parameters(), lr=0.02)
for step in range(260):
    optimizer.zero_grad()
    batch = train[torch.randint(len(train), (128,))]
    loss = -flow.log_prob(batch).mean()
    loss.backward()
    optimizer.step()
    if step % 65 == 64:
        optimizer.param_groups[0]["lr"] *= 0.6
        print(f"step {step + 1}: {loss.item():.3f} nats")
flow.solver = Tsit5(rtol=1e-5, atol=1e-6)
with torch.no_grad():
    print(f"held-out points: {-float(flow.log_prob(held).mean()):.3f} nats")
    mapped = flow(held)
    error = float((flow.inverse(mapped.value) - held).abs().max())
print(f"{mapped.stats[0].nfe_forward} evaluations, error of the inverse {error:.1e}")

# %%
# What to look at
# ---------------
# From left to right: the data; the learned density, which should be high on the moons and low
# between them; samples, which are noise carried from :math:`T` to 0; and the paths of some of
# them, from the circles (noise) to the dots (samples). A continuous map cannot tear the plane: a
# thin bridge between the moons remains.

limit = 2.4
axis = torch.linspace(-limit, limit, 80)
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)
torch.manual_seed(2)
with torch.no_grad():
    density = flow.log_prob(grid).exp().view(80, 80)
    samples = flow.sample(800)
    noise = torch.randn(25, 2)
    way = np.linspace(1, 0, 21)[1:].tolist()
    paths = torch.cat([noise[None], solve(field, noise, (1.0, 0.0), save_at=way).ys])

figure, panels = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
panels[0].scatter(*train.T, s=3, color="#0072b2")
panels[1].imshow(density, origin="lower", extent=(-limit, limit, -limit, limit), cmap="viridis")
panels[2].scatter(*samples.T, s=3, color="#e69f00")
panels[3].plot(*paths.permute(2, 0, 1), color="grey", linewidth=0.8)
panels[3].scatter(*paths[0].T, s=14, facecolors="none", edgecolors="#0072b2", label="noise")
panels[3].scatter(*paths[-1].T, s=10, color="#e69f00", zorder=3, label="samples")
panels[3].legend(fontsize=8, loc="upper right")
titles = ["data", "density", "samples", "paths of samples"]
for axes, title in zip(panels, titles, strict=True):
    axes.set_title(title, fontsize=11)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
plt.show()

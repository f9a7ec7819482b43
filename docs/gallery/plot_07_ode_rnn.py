r"""
An ODE-RNN on irregular times
=============================

Measurements often come at irregular times. An ODE-RNN carries its state from one observation to
the next by a differential equation and lets a recurrent cell jump at each of them:

.. math::
    h'(t) = f(t, h(t)) \quad (t_k < t < t_{k+1}), \qquad h^+(t_k) = \mathrm{cell}(x_k, h^-(t_k)) .

With :math:`h'' + \gamma h' = f` in place of the first equation it is the heavy-ball version,
HBNODE-RNN, whose state can oscillate by itself.

Sources: Rubanova et al., *Latent ODEs for Irregularly-Sampled Time Series* (2019); Xia et al.,
*Heavy Ball Neural Ordinary Differential Equations* (2021), sections 5.3 and 5.4.
"""

import math

import matplotlib.pyplot as plt
import torch

from grandpp import ODERNN

# %%
# Damped oscillations, seen at random times
# -----------------------------------------
# Each sequence has its own amplitude, phase and time stamps, and all have the same frequency and
# damping. The model sees ten values and forecasts the next four.

torch.manual_seed(0)


def signal(amplitude, phase, t):
    return amplitude * torch.exp(-0.08 * t) * torch.cos(1.5 * t + phase)


count, seen, ahead = 96, 10, 4
amplitude = 0.5 + torch.rand(count, 1)
phase = 2 * math.pi * torch.rand(count, 1)
times = (0.15 + 0.7 * torch.rand(count, seen + ahead)).cumsum(1)
values = signal(amplitude, phase, times)
x, target = values[:, :seen, None], values[:, seen:, None]
train, test = slice(0, 64), slice(64, None)
print(
    f"{count} sequences; gaps between {float(times.diff().min()):.2f} "
    f"and {float(times.diff().max()):.2f}"
)

# %%
# Train both kinds
# ----------------
# The loss is that of the forecast, and with a factor of 0.5 that of the decoded state right after
# each observation. ``batch_first`` puts sequences before time. Elements of a batch have different
# time stamps: each interval is solved on [0, 1] with the right-hand side scaled by the element's
# duration.


def fit(kind, epochs=60):
    torch.manual_seed(1)
    model = ODERNN(kind, 1, 12, 1, batch_first=True, rtol=1e-3, atol=1e-4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        out = model(x[train], times[train, :seen], horizon=times[train, seen:])
        loss = (out.forecast - target[train]).square().mean()
        seen_loss = (out.reconstruction - x[train]).square().mean()
        (loss + 0.5 * seen_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        out = model(x[test], times[test, :seen], horizon=times[test, seen:])
    error = float((out.forecast - target[test]).square().mean())
    print(f"{kind:6} mean squared error of held-out forecasts {error:.4f}")
    return model, losses


models = {"NODE": fit("node"), "HBNODE": fit("hbnode")}
print(f"variance of the targets {float(target[test].var()):.4f}")

# %%
# What to look at
# ---------------
# Left: the loss of the forecast on the training sequences. Middle and right: two held-out
# sequences. The model sees the ten dots one after the other; behind the last one its equation
# runs on alone. ``horizon`` takes any times, so the forecast is drawn as a curve. Compare it with
# the true signal, in grey. On this small problem both kinds learn the oscillation; the real ones
# of the paper are on the page of results.

figure, (left, *rest) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
styles = {"NODE": ("#e69f00", "--"), "HBNODE": ("#0072b2", "-")}
for name, (_, losses) in models.items():
    left.semilogy(losses, color=styles[name][0], linestyle=styles[name][1], label=name)
left.set_xlabel("epoch")
left.set_ylabel("mean squared error of the forecast")
left.grid(alpha=0.3)
left.legend()
for axes, k in zip(rest, (70, 85), strict=True):
    last = times[k, seen - 1]
    fine = torch.linspace(float(times[k, 0]), float(last) + 3.0, 200)
    axes.plot(fine, signal(amplitude[k], phase[k], fine), color="grey", alpha=0.6, label="truth")
    axes.plot(times[k, :seen], x[k, :, 0], "ko", markersize=4, label="observed")
    ahead_times = last + torch.linspace(0.02, 3.0, 60)
    for name, (model, _) in models.items():
        with torch.no_grad():
            out = model(x[k : k + 1], times[k : k + 1, :seen], horizon=ahead_times[None])
        axes.plot(
            ahead_times,
            out.forecast[0, :, 0],
            color=styles[name][0],
            linestyle=styles[name][1],
            label=name,
        )
    axes.axvline(last, color="grey", linestyle=":")
    axes.set_xlabel("time")
    axes.set_title(f"held-out sequence {k}", fontsize=11)
rest[0].legend(fontsize=8)
plt.show()

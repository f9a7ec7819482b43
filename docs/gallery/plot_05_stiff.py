r"""
Stiff equations and proximal solvers
====================================

An explicit solver must take steps as short as the fastest mode of an equation asks for, even when
that mode has long faded. Such an equation is stiff. Proximal implicit methods write a step as a
minimisation,

.. math::
    h_{k+1} = \arg\min_z \frac{1}{2s} \lVert z - h_k \rVert^2 + F(z), \qquad -\nabla F = f,

whose solution exists for any step :math:`s` when :math:`F` is convex. Only :math:`f` is needed,
and no matrix is formed. BDF and Crank-Nicolson steps have the same form with other quadratic
terms.

Source: chapter 5 of the thesis on which this library is built, (5.5) for this step and (5.18) for
the heat equation. Robertson's reactions are problem IV.1.4 of Hairer and Wanner, *Solving
Ordinary Differential Equations II*.
"""

import matplotlib.pyplot as plt
import torch

from grandpp import solve

# %%
# The heat equation
# -----------------
# On 32 periodic points of [0, 1] the fastest mode decays at rate :math:`4 / dx^2`, while the
# slowest that moves decays a hundred times more slowly. A Fourier transform gives the exact
# solution.

n = 32
dx = 1 / (n - 1)
grid = torch.arange(n, dtype=torch.float64) * dx
start = torch.exp(-50 * (grid - 0.5) ** 2)


def heat(t, h):
    return (h.roll(1) - 2 * h + h.roll(-1)) / dx**2


rates = 2 * (1 - torch.cos(2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64))) / dx**2
print(f"decay rates: fastest {rates.max():.0f}, slowest {rates[1]:.1f}")


def exact(t):
    return torch.fft.ifft(torch.fft.fft(start) * torch.exp(-rates * t)).real


end = 0.1
settings = {
    "dopri5": ("rtol", [1e-2, 1e-3, 1e-4, 1e-5]),
    "prox_be": ("step_size", [1 / 100, 1 / 400, 1 / 1600]),
    "prox_bdf2": ("step_size", [1 / 100, 1 / 400, 1 / 1600]),
    "prox_adaptive": ("rtol", [1e-2, 1e-3, 1e-4, 1e-5]),
}
results = {}
for name, (option, values) in settings.items():
    results[name] = []
    for value in values:
        given = {option: value}
        if option == "rtol":
            given["atol"] = value / 10
        else:
            given["inner_tol"] = 1e-8
        solution = solve(heat, start, (0.0, end), solver=name, **given)
        error = float((solution.y - exact(end)).abs().max())
        nfe = solution.stats.nfe_forward
        results[name].append((nfe, error))
        print(f"{name:13} {option} = {value:<8.4g} {nfe:5} evaluations, error {error:.1e}")

# %%
# A switch on the way
# -------------------
# Robertson's reactions start fast and become stiff. ``solver="auto"`` begins with dopri5, notices
# that its steps are limited by stability, and goes on with an implicit method.


def robertson(t, y):
    a, b, c = y.unbind()
    first, second = 0.04 * a - 1e4 * b * c, 3e7 * b * b
    return torch.stack([-first, first - second, second])


times = torch.logspace(-4, 1.6, 60, dtype=torch.float64).tolist()
y0 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
solution = solve(
    robertson, y0, (0.0, times[-1]), solver="auto", save_at=times, rtol=1e-5, atol=1e-9
)
for begin, method in solution.stats.methods:
    print(f"from t = {begin:.3g}: {method}")
print(f"{solution.stats.nfe_forward} evaluations, mass {float(solution.y.sum()):.8f}")

# %%
# What to look at
# ---------------
# Left: the evaluations of dopri5 hardly depend on the error that is asked for, because stability
# sets its steps. The implicit methods trade evaluations for accuracy; inner iterations are
# counted as well. Right: the three concentrations and the time of the switch; the second, which
# is tiny, is drawn :math:`10^4` times as large. For linear diffusion on a graph ``"auto"`` takes
# the exact solver, which has no stability limit at all.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, rows), marker in zip(results.items(), "osv^", strict=True):
    left.loglog(*zip(*rows, strict=True), marker=marker, label=name)
left.set_xlabel("evaluations of f")
left.set_ylabel(f"largest error at t = {end:g}")
left.set_title("heat equation on 32 points", fontsize=11)
left.grid(alpha=0.3)
left.legend()
for k, (label, style) in enumerate(
    zip(["$y_1$", "$10^4\\, y_2$", "$y_3$"], ["-", "--", "-."], strict=True)
):
    right.semilogx(times, solution.ys[:, k] * (1e4 if k == 1 else 1), style, label=label)
for begin, method in solution.stats.methods[1:]:
    right.axvline(begin, color="grey", linestyle=":", label=f"switch to {method}")
right.set_xlabel("time t")
right.set_title("Robertson's reactions", fontsize=11)
right.grid(alpha=0.3)
right.legend()
plt.show()

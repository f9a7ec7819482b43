r"""
An image classifier and its function evaluations
================================================

A neural ODE classifies images: it solves :math:`h' = f(t, h)` with convolutions in :math:`f`,
from the image at :math:`t = 0` to :math:`t = 1`, and a linear layer reads the classes. An
adaptive solver decides how often it evaluates :math:`f`. That number of function evaluations,
NFE, is the cost of the model, and it changes while the model learns. The heavy ball was proposed
because it needs fewer, above all in the backward pass of the adjoint method.

.. math::
    \text{NODE:}\quad h' = f(t, h), \qquad
    \text{HBNODE:}\quad h' = m, \quad m' = -\gamma m + f(t, h)

Source: Xia et al., *Heavy Ball Neural Ordinary Differential Equations* (2021), section 5.2 and
Figure 7. There the data are MNIST and CIFAR-10, here the 8x8 digits of scikit-learn.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from grandpp.data import load_images
from grandpp.image import image_classifier

# %%
# The digits
# ----------

split = load_images("digits").subset(train=384, test=300)
print(split.note)

# %%
# Train two models of the same size
# ---------------------------------
# ``gradient="adjoint"`` solves a second equation backwards, whose evaluations are counted while
# ``backward()`` runs.


def fit(kind, epochs=4, batch=64):
    model = image_classifier("digits", kind, tolerance=1e-3, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    rows = []
    for _ in range(epochs):
        forward = backward = batches = 0
        for images, labels in zip(
            split.train_images.split(batch), split.train_labels.split(batch), strict=True
        ):
            optimizer.zero_grad()
            solution = model.solve(images)
            F.cross_entropy(model.logits(solution), labels).backward()
            optimizer.step()
            forward += solution.stats.nfe_forward
            backward += solution.stats.nfe_backward
            batches += 1
        with torch.no_grad():
            right = (model(split.test_images).argmax(1) == split.test_labels).float().mean()
        rows.append((float(right), forward / batches, backward / batches))
    size = sum(p.numel() for p in model.parameters())
    print(f"{kind}: {size} parameters")
    for epoch, (accuracy, forward, backward) in enumerate(rows, 1):
        print(
            f"  epoch {epoch}: {accuracy:.1%} right, "
            f"NFE {forward:.0f} forward, {backward:.0f} backward"
        )
    return model, rows


models = {"NODE": fit("node"), "HBNODE": fit("hbnode")}

# %%
# What to look at
# ---------------
# Left: accuracy on held-out digits. Middle: evaluations per batch, forward (filled) and backward
# (open). Those of HBNODE hardly change, and those of NODE grow while it learns, the backward ones
# most. Right: held-out digits with the class that HBNODE predicts, and the true class in brackets
# where they differ.

figure = plt.figure(figsize=(12, 3.8), layout="constrained")
parts = figure.subfigures(1, 3, width_ratios=[1, 1, 1])
left, middle = parts[0].subplots(), parts[1].subplots()
for (name, (_, rows)), colour in zip(models.items(), ["#e69f00", "#0072b2"], strict=True):
    epochs = range(1, len(rows) + 1)
    left.plot(epochs, [100 * row[0] for row in rows], "o-", color=colour, label=name)
    middle.plot(epochs, [row[1] for row in rows], "o-", color=colour, label=f"{name}, forward")
    middle.plot(
        epochs, [row[2] for row in rows], "o--", mfc="none", color=colour, label=f"{name}, backward"
    )
left.set_ylabel("right, %")
middle.set_ylabel("evaluations per batch")
middle.set_ylim(bottom=0)
for axes in (left, middle):
    axes.set_xlabel("epoch")
    axes.set_xticks(list(epochs))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
with torch.no_grad():
    predicted = models["HBNODE"][0](split.test_images).argmax(1)
is_right = predicted == split.test_labels
shown = torch.cat([(~is_right).nonzero()[:4], is_right.nonzero()[:8]]).view(-1)
for axes, k in zip(parts[2].subplots(3, 4).flat, shown.tolist(), strict=True):
    axes.imshow(split.test_images[k, 0], cmap="gray_r")
    true, guess = int(split.test_labels[k]), int(predicted[k])
    axes.set_title(str(guess) if guess == true else f"{guess} ({true})", fontsize=9)
    axes.axis("off")
plt.show()

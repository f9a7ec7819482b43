r"""
Classifying whole graphs in batches
===================================

PyG puts several graphs into one by listing their edges side by side. Diffusion does not leave a
component, so a layer of this library solves a batch as if each graph were alone. Here diffusion
tells graphs with two communities from graphs without: random features are averaged inside a
community, and what still varies over a graph after time :math:`T` is the community.

.. math::
    x' = (A - I)\, x, \qquad \text{readout of a graph } g:\quad
    v_g = \operatorname{mean}_{i \in g} \big(x_i(T) - \bar x_g\big)^2

Diffusion slowly forgets what the small eigenvalues of :math:`I - A` carry, and two communities
have a small one. The time is learned: it may be an ``nn.Parameter``.

Source: Fey and Lenssen, *Fast Graph Representation Learning with PyTorch Geometric* (2019), for
the batches.
"""

import matplotlib.pyplot as plt
import networkx as nx
import torch
import torch.nn.functional as F
from torch_geometric.loader import DataLoader
from torch_geometric.nn import global_mean_pool
from torch_geometric.utils import from_networkx

from grandpp import GRANDConv

# %%
# Planted graphs
# --------------
# Both kinds have 24 nodes and the same expected number of edges. Graphs of several components are
# drawn again: an isolated node would keep its features, whatever the time.


def draw(kind, seed):
    inside, between = (0.45, 0.03) if kind else (0.24, 0.24)
    chances = [[inside, between], [between, inside]]
    graph = nx.stochastic_block_model([12, 12], chances, seed=seed)
    while not nx.is_connected(graph):
        seed += 1000
        graph = nx.stochastic_block_model([12, 12], chances, seed=seed)
    data = from_networkx(nx.Graph(graph.edges))
    data.x = torch.randn(24, 32, generator=torch.Generator().manual_seed(seed))
    data.y = torch.tensor(kind)
    return data


graphs = [draw(k % 2, k) for k in range(160)]
train, test = graphs[:100], graphs[100:]
sizes = [sum(g.num_edges for g in graphs[k::2]) / 160 for k in (0, 1)]
print(f"edges on average: {sizes[0]:.1f} without communities, {sizes[1]:.1f} with two")

# %%
# A model with batches
# --------------------


class GraphClassifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.length = torch.nn.Parameter(torch.tensor(4.0))
        self.conv = GRANDConv(32, time=self.length, attention=None, learn_alpha=False)
        self.decoder = torch.nn.Linear(1, 2)

    def variance(self, x, edge_index, batch):
        out = self.conv(x, edge_index)
        out = out - global_mean_pool(out, batch)[batch]
        return global_mean_pool(out.square(), batch).mean(1, keepdim=True)

    def forward(self, x, edge_index, batch):
        return self.decoder(10 * self.variance(x, edge_index, batch))


torch.manual_seed(0)
model = GraphClassifier()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
history = []
for epoch in range(25):
    for batch in DataLoader(train, batch_size=25, shuffle=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch.x, batch.edge_index, batch.batch), batch.y)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        whole = next(iter(DataLoader(test, batch_size=len(test))))
        scores = model(whole.x, whole.edge_index, whole.batch)
    history.append((float((scores.argmax(1) == whole.y).float().mean()), model.length.item()))
    if epoch % 5 == 4:
        accuracy, length = history[-1]
        print(f"epoch {epoch + 1:2}: {accuracy:.1%} of test graphs right, T = {length:.2f}")

# %%
# A batch gives what each graph gives alone
# -----------------------------------------

with torch.no_grad():
    alone = torch.cat(
        [model(g.x, g.edge_index, torch.zeros(24, dtype=torch.int64)) for g in test[:10]]
    )
print(f"largest difference to the batch: {float((alone - scores[:10]).abs().max()):.1e}")

# %%
# An adaptive solver, such as dopri5, chooses its steps for the whole batch, so with it the two
# agree up to the tolerance. The exact solver, which ``"auto"`` takes here, agrees up to its
# tolerance and rounding as well, and one graph that needs many products makes the whole batch
# take them.
#
# What to look at
# ---------------
# Left and second: one graph of each kind, coloured by the first feature at time :math:`T`. In the
# graph without communities hardly any difference is left. Third: the readout of the test graphs,
# which tells the kinds apart. Right: accuracy and the learned time by epoch.

figure, panels = plt.subplots(1, 4, figsize=(14, 3.5), layout="constrained")
names = ["no communities", "two communities"]
for axes, k, name in zip(panels, (0, 1), names, strict=False):
    g = test[k]
    with torch.no_grad():
        colour = model.conv(g.x, g.edge_index)[:, 0]
    graph = nx.Graph(g.edge_index.t().tolist())
    place = nx.spring_layout(graph, seed=3)
    nx.draw_networkx_edges(graph, place, ax=axes, edge_color="grey", alpha=0.5)
    drawn = nx.draw_networkx_nodes(
        graph,
        place,
        nodelist=range(24),
        node_color=colour.tolist(),
        vmin=-0.5,
        vmax=0.5,
        cmap="RdBu_r",
        node_size=70,
        edgecolors="black",
        linewidths=0.4,
        ax=axes,
    )
    axes.set_title(name, fontsize=11)
    axes.axis("off")
figure.colorbar(drawn, ax=panels[1], label="first feature at T", shrink=0.8)
with torch.no_grad():
    spread = model.variance(whole.x, whole.edge_index, whole.batch).view(-1)
for k, colour in enumerate(["#e69f00", "#0072b2"]):
    panels[2].hist(spread[whole.y == k], bins=12, alpha=0.7, color=colour, label=names[k])
panels[2].set_xlabel("variance of features at T")
panels[2].set_ylabel("test graphs")
panels[2].legend(fontsize=9)
epochs = range(1, len(history) + 1)
panels[3].plot(epochs, [100 * h[0] for h in history], color="#0072b2")
panels[3].set_xlabel("epoch")
panels[3].set_ylabel("right, %", color="#0072b2")
panels[3].set_ylim(40, 102)
twin = panels[3].twinx()
twin.plot(epochs, [h[1] for h in history], "--", color="#d55e00")
twin.set_ylabel("learned time T (dashed)", color="#d55e00")
plt.show()

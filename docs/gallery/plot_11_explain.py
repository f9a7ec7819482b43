r"""
Explaining a prediction
=======================

Why did a node get its class? PyG's explainers answer by masks: they find the edges and features
without which the prediction would change. The layers of this library are ``MessagePassing``
modules, so these explainers work with them. A mask weighs every message of every evaluation,

.. math::
    x_i' = \alpha \Big( \sum_{j \to i} m_{ij}\, a_{ij} x_j - x_i \Big), \qquad 0 \le m_{ij} \le 1,

and the solve runs with a solver that passes messages (dopri5 here), because the exact solver
computes powers of a matrix and passes none.

Source of the method: Ying et al., *GNNExplainer* (2019). The graph is Zachary's karate club
(1977), with its 34 members.
"""

import matplotlib.pyplot as plt
import networkx as nx
import torch
import torch.nn.functional as F
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.utils import from_networkx

from grandpp import GRANDConv

# %%
# Train on one label per group
# ----------------------------
# The graph comes with networkx; groups are found by greedy modularity. One member of each group,
# the one with the most friends, has a label, and the features hold nothing but these labels. All
# other nodes learn of them through the edges.

club = nx.karate_club_graph()
for *_, attributes in club.edges(data=True):
    attributes.clear()
for _, attributes in club.nodes(data=True):
    attributes.clear()
data = from_networkx(club)
groups = nx.community.greedy_modularity_communities(club)
y = torch.empty(34, dtype=torch.int64)
for k, members in enumerate(groups):
    y[list(members)] = k
given = torch.tensor([max(members, key=club.degree) for members in groups])
x = torch.zeros(34, len(groups))
x[given, torch.arange(len(groups))] = 1.0
print(f"{len(groups)} groups of {[len(m) for m in groups]} members; labelled: {given.tolist()}")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(len(groups), 8, bias=False)
        self.conv = GRANDConv(8, time=3.0, attention=None, solver="dopri5", rtol=1e-3, atol=1e-3)
        self.decoder = torch.nn.Linear(8, len(groups))

    def forward(self, x, edge_index):
        return self.decoder(10 * self.conv(self.encoder(x), edge_index))


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _ in range(30):
    optimizer.zero_grad()
    F.cross_entropy(model(x, data.edge_index)[given], y[given]).backward()
    optimizer.step()
predicted = model(x, data.edge_index).argmax(1)
print(f"{float((predicted == y).float().mean()):.1%} of all nodes in their group")

# %%
# Explain one node
# ----------------

node = 16
explainer = Explainer(
    model,
    GNNExplainer(epochs=60, lr=0.1),
    explanation_type="model",
    edge_mask_type="object",
    model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"},
)
torch.manual_seed(1)
explanation = explainer(x, data.edge_index, index=node)
mask = explanation.edge_mask
print(f"node {node}: predicted group {int(predicted[node])}, its own {int(y[node])}")
for k in mask.argsort(descending=True)[:10].tolist():
    print("  edge {} -> {}: {:.2f}".format(*data.edge_index[:, k].tolist(), mask[k]))

# %%
# Check it
# --------
# An explanation is worth something if the prediction depends on it: compare the probability of
# the predicted group with all edges, with those of the explanation alone and with all others
# alone.


def probability(kept):
    with torch.no_grad():
        scores = model(x, data.edge_index[:, kept])[node]
    return float(scores.softmax(0)[predicted[node]])


inside = mask > 0.5
print(f"with all {len(mask)} directed edges: {probability(torch.ones_like(inside)):.2f}")
print(f"with the {int(inside.sum())} of the explanation: {probability(inside):.2f}")
print(f"with the others: {probability(~inside):.2f}")

# %%
# What to look at
# ---------------
# Colours are predicted groups, squares the labelled nodes. The star is the node in question.
# Thick dark edges are those that the prediction rests on: the ways from the label of its group to
# the node.

figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
place = nx.spring_layout(club, seed=4, k=0.3)
palette = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"]
weights = dict(zip(map(tuple, data.edge_index.t().tolist()), mask.tolist(), strict=True))
strength = [max(weights[a, b], weights[b, a]) for a, b in club.edges]
nx.draw_networkx_edges(
    club,
    place,
    width=[0.5 + 4 * s for s in strength],
    edge_color=strength,
    edge_cmap=plt.cm.Greys,
    edge_vmin=-0.3,
    edge_vmax=1,
    ax=axes,
)
for nodes, marker, size in (
    ([i for i in range(34) if i != node and i not in given], "o", 220),
    (given.tolist(), "s", 260),
    ([node], "*", 700),
):
    nx.draw_networkx_nodes(
        club,
        place,
        nodelist=nodes,
        node_shape=marker,
        node_size=size,
        node_color=[palette[int(predicted[i]) % 4] for i in nodes],
        edgecolors="black",
        ax=axes,
    )
nx.draw_networkx_labels(club, place, font_size=8, ax=axes)
shown = plt.cm.ScalarMappable(cmap="Greys", norm=plt.Normalize(-0.3, 1))
figure.colorbar(
    shown, ax=axes, ticks=[0, 0.5, 1], label="weight of the edge in the explanation", shrink=0.8
)
axes.set_title(f"why node {node} is in its group")
axes.axis("off")
plt.show()

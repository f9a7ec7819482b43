r"""
Choosing what to label
======================

Labels cost work, so the nodes that get one should be chosen. Before there is any label,
:meth:`grandpp.NodeClassifier.suggest` clusters the nodes by features and graph and returns the
centres of clusters. After some labels, nodes of which the fitted model is less sure count more.
Active learning at low label rates is named as future work in the works that this library follows;
the method here is its own.
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import torch
from torch_geometric.utils import to_networkx

from grandpp import NodeClassifier
from grandpp.data import sbm
from grandpp.models import graph_views, grow_clusters

# %%
# A planted graph without labels
# ------------------------------

data = sbm(300, 700, num_classes=4, num_features=200, communities_per_class=2, seed=5)
truth = data.y.numpy()
print(f"{data.num_nodes} nodes, {data.num_edges // 2} edges")

# %%
# Suggest, and compare with random nodes
# --------------------------------------
# ``suggest`` needs no label. Its first n nodes for n = 4 are not those for n = 8: each number
# gets its own clusters. The clusters of the page "One label per class" then label the rest; a
# class without a labelled node cannot be predicted, and its nodes count as wrong.


def accuracy(chosen):
    classes, code = np.unique(truth[chosen], return_inverse=True)
    labels = torch.full((data.num_nodes,), -1)
    labels[chosen] = torch.from_numpy(code)
    clusters = grow_clusters(views, torch.from_numpy(chosen), labels, len(classes))
    predicted = classes[clusters.label.numpy()]
    return np.mean(np.delete(predicted == truth, chosen))


views = graph_views(data.x, data.edge_index)
blank = data.clone()
blank.y = torch.full_like(data.y, -1)
numbers = [4, 6, 8, 12, 16]
suggested = {n: NodeClassifier().suggest(blank, n=n) for n in numbers}
rng = np.random.default_rng(0)
chance = {n: [accuracy(rng.permutation(300)[:n]) for _ in range(10)] for n in numbers}
best = {n: accuracy(suggested[n]) for n in numbers}
for n in numbers:
    print(
        f"{n:2} labels: suggested {best[n]:.1%} right, "
        f"random {np.mean(chance[n]):.1%} on average over {len(chance[n])} draws"
    )

# %%
# What to look at
# ---------------
# Left: the eight suggested nodes lie in different parts of the graph. Right: the suggested nodes
# against random ones. The band is the range over the draws: random nodes can be as good, by luck,
# and are worse on average while labels are few. The curve of the suggested nodes need not rise
# everywhere, because each number of nodes has clusters of its own.

graph = to_networkx(data, to_undirected=True)
place = nx.spring_layout(graph, seed=2, iterations=60)
colours = np.array(["#0072b2", "#e69f00", "#009e73", "#cc79a7"])
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
nx.draw_networkx_edges(graph, place, ax=left, alpha=0.25, edge_color="grey", width=0.6)
spots = np.array([place[i] for i in range(300)])
left.scatter(*spots.T, c=colours[truth], s=10, zorder=2)
picked = suggested[8]
left.scatter(
    *spots[picked].T, c=colours[truth[picked]], s=170, marker="*", edgecolors="black", zorder=3
)
left.set_title("eight suggested nodes (stars); classes were hidden", fontsize=11)
left.axis("off")
low, high = zip(*[(min(chance[n]), max(chance[n])) for n in numbers], strict=True)
right.fill_between(numbers, 100 * np.array(low), 100 * np.array(high), alpha=0.2, color="#e69f00")
right.plot(
    numbers,
    [100 * np.mean(chance[n]) for n in numbers],
    "s-",
    color="#e69f00",
    label="random nodes: mean and range",
)
right.plot(numbers, [100 * best[n] for n in numbers], "o-", color="#0072b2", label="suggested")
right.set_xlabel("labelled nodes")
right.set_ylabel("right among the others, %")
right.grid(alpha=0.3)
right.legend(loc="lower right")
plt.show()

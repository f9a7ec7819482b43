r"""
One label per class, with seeded clusters
=========================================

With one label per class a network has almost nothing to learn from. What the data still offer is
their structure: nodes fall into groups by their features, by the features of their neighbourhood
and by the graph. :func:`grandpp.models.cluster_labels` grows one cluster from each labelled node
in these three views, without training. The default of :class:`grandpp.NodeClassifier` is GRAND++
trained on the labels and, with a smaller weight, on these clusters.

.. math::
    \text{loss} = \frac{1}{|I|} \sum_{i \in I} \ell(y_i, p_i)
      + \lambda \sum_{i \notin I} c_i\, \ell(\hat y_i, p_i)

where :math:`I` are the labelled nodes, :math:`\hat y_i` is the cluster of node :math:`i` and
:math:`c_i` its confidence, scaled so that all nodes of the second sum count as much as one label
per class.

Sources: low label rates are the subject of Thorpe et al., *GRAND++* (2022), section 4. The
clusters are this library's own; Calder et al., *Poisson Learning* (2020), which uses the graph
alone, is what they are compared with here.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from grandpp import NodeClassifier
from grandpp.data import sbm
from grandpp.estimator.figures import map_of_nodes
from grandpp.models import cluster_labels

# %%
# A planted graph with one label in each of four classes
# ------------------------------------------------------
# Each class has three communities, so that most communities have no label of their own: the graph
# alone cannot tell which class they belong to. Their words can.

data = sbm(
    300,
    600,
    num_classes=4,
    num_features=300,
    communities_per_class=3,
    homophily=0.75,
    topic_strength=1.6,
    community_topics=0.2,
    seed=2,
)
given = torch.stack([(data.y == k).nonzero().view(-1)[0] for k in range(4)])
data.train_mask = torch.zeros(data.num_nodes, dtype=torch.bool)
data.train_mask[given] = True
rest = ~data.train_mask
print(f"{data.num_nodes} nodes, {data.num_edges // 2} edges, {len(given)} labels")

# %%
# Three ways to label the rest
# ----------------------------
# The labels of all other nodes are hidden from the models: they train on ``train_mask``.

found = {
    "Poisson learning": NodeClassifier("poisson").fit(data).predict(),
    "seeded clusters": cluster_labels(
        data.x, data.edge_index, None, given, data.y, 4
    ).label.numpy(),
    "NodeClassifier()": NodeClassifier().fit(data).predict(),
}
truth = data.y.numpy()
for name, label in found.items():
    print(f"{name:17} {np.mean(label[rest] == truth[rest]):.1%} of the other nodes right")

# %%
# What to look at
# ---------------
# Nodes with similar diffused features lie close together (t-SNE). Stars are the given labels.
# Compare each map with the true classes on the left: propagated labels spill over into groups of
# other classes that have no label of their own, and clusters, which read the words, do so less.
#
# One planted graph is no comparison of methods; ``grandpp classify`` makes one over many splits.

nodes, place = map_of_nodes(data, data.train_mask.numpy())
colours = np.array(["#0072b2", "#e69f00", "#009e73", "#cc79a7"])
figure, panels = plt.subplots(1, 4, figsize=(12, 3.5), layout="constrained")
for axes, (name, label) in zip(panels, {"true classes": truth, **found}.items(), strict=True):
    axes.scatter(*place.T, c=colours[label[nodes]], s=9, linewidths=0)
    seeds = np.isin(nodes, given)
    axes.scatter(
        *place[seeds].T,
        c=colours[label[nodes][seeds]],
        s=150,
        marker="*",
        edgecolors="black",
        linewidths=0.8,
    )
    right = np.mean(label[rest] == truth[rest])
    axes.set_title(name if label is truth else f"{name}: {right:.0%} right", fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
plt.show()

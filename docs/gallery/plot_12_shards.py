r"""
Training on shards
==================

A graph that is too large for one process is cut into parts. Each process keeps the nodes,
features and edges of one part, and each sparse product exchanges the rows of those nodes of other
parts that have an edge into it, its *halo*:

.. math::
    (A x)_i = \sum_{j \to i,\; j \text{ here}} a_{ij} x_j
      + \sum_{j \to i,\; j \text{ in the halo}} a_{ij} x_j .

Nothing is sampled, so the result is that of the whole graph up to rounding. The how-to page "One
graph on several processes" says what is exchanged, and has a training loop of one's own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from torch_geometric.utils import to_networkx

from grandpp.__main__ import main
from grandpp.data import sbm
from grandpp.distributed import read_shard

# %%
# A planted graph in three files
# ------------------------------

data = sbm(400, 900, num_classes=4, num_features=100, communities_per_class=2, seed=4)
folder = Path(tempfile.mkdtemp())
np.save(folder / "edges.npy", data.edge_index.numpy())
np.save(folder / "x.npy", data.x.numpy())
np.save(folder / "y.npy", data.y.numpy())
print(f"{data.num_nodes} nodes, {data.num_edges // 2} edges")

# %%
# Cut it
# ------
# Label propagation finds the parts; METIS, where ``pymetis`` is installed, cuts fewer edges.


options = f"--labels-per-class 5 --protocol no_val --parts 2 --out {folder}/parts"
files = f"--edges {folder}/edges.npy --features {folder}/x.npy --labels {folder}/y.npy"
words = f"partition {files} {options} --method label_propagation"
print("grandpp", words.replace(f"{folder}/", ""))
assert main(words.split()) == 0

# %%
# Train on both parts
# -------------------
# ``--processes 2`` starts one process per part here; on several machines torchrun does. does.

words = f"train-sharded {folder}/parts --processes 2 --epochs 10 --json --quiet"
print("grandpp", words.replace(f"{folder}/", ""))
command = [sys.executable, "-m", "grandpp", *words.split()]
done = subprocess.run(command, check=True, capture_output=True, text=True)
record = json.loads(done.stdout.splitlines()[0])
model, processes = record["model"], record["processes"]
print(f"{model} on {processes} processes: {record['test_accuracy']:.1%} right")
forward, backward = record["nfe_forward"], record["nfe_backward"]
print(f"products per epoch: {forward:.1f} forward, {backward:.1f} backward")

# %%
# What to look at
# ---------------
# Colours are the parts. Nodes with a black edge are in the halo of the other part: their features
# are sent in every product. Red edges are those that were cut. The fewer there are, the less is
# sent.

shards = [read_shard(folder / "parts", part) for part in range(2)]
part = np.empty(data.num_nodes, dtype=int)
for k, shard in enumerate(shards):
    part[shard.nodes] = k
source, target = data.edge_index.numpy()
cut = part[source] != part[target]
halo = np.unique(source[cut])
for k in range(2):
    needed = np.unique(source[cut & (part[target] == k)])
    print(f"part {k}: {(part == k).sum()} nodes, needs the features of {len(needed)} others")

graph = to_networkx(data, to_undirected=True)
place = nx.spring_layout(graph, seed=1, iterations=60)
spots = np.array([place[i] for i in range(data.num_nodes)])
figure, axes = plt.subplots(figsize=(7.5, 5), layout="constrained")
lines = np.array(graph.edges)
crossing = part[lines[:, 0]] != part[lines[:, 1]]
for chosen, colour, width in ((~crossing, "lightgrey", 0.6), (crossing, "#d55e00", 1.0)):
    nx.draw_networkx_edges(
        graph, place, edgelist=lines[chosen].tolist(), edge_color=colour, width=width, ax=axes
    )
edge = np.isin(np.arange(data.num_nodes), halo)
for k, colour in enumerate(["#0072b2", "#e69f00"]):
    for chosen, border in ((~edge, "none"), (edge, "black")):
        mine = (part == k) & chosen
        label = f"part {k}" + (", in the halo of the other" if border == "black" else "")
        axes.scatter(
            *spots[mine].T, s=22, c=colour, edgecolors=border, linewidths=1, label=label, zorder=2
        )
axes.plot([], [], color="#d55e00", label="cut edge")
axes.legend(fontsize=9)
axes.axis("off")
plt.show()

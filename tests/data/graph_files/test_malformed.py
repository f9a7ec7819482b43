"""Malformed files: one line that says which file, where, what was expected and what came."""

from __future__ import annotations

import gzip
import io
import json
import pickle

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch
from small_sets import Marker
from torch_geometric.data import Data

from grandpp.data import DatasetError, GraphFileError, read_graph

EDGES = "source,target\na,b\nb,c\n"
WEIGHTED = "source,target,weight\na,b,1\n"


def npy(value, **options):
    file = io.BytesIO()
    np.save(file, value, **options)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def matlab(**values):
    file = io.BytesIO()
    scipy.io.savemat(file, values)
    return file.getvalue()


def csr(matrix, name):
    m = sp.csr_matrix(matrix)
    parts = {"data": m.data, "indices": m.indices, "indptr": m.indptr, "shape": np.array(m.shape)}
    return {f"{name}_{part}": value for part, value in parts.items()}


# The file in question first; a file of edges is added where it is another one.
BAD_EDGES = [
    ("e.csv", "", "e.csv: expected data (got an empty file)"),
    ("e.csv", "# only\n# this\n", "e.csv: expected data (got nothing but comments)"),
    ("e.csv", "source,target\n", "e.csv: expected rows below the header (got none)"),
    ("e.csv", "a\nb\n", "e.csv:1: expected two columns with node ids (got one)"),
    ("e.csv", WEIGHTED + "\n# note\nb,c,abc\n", "e.csv:5: expected a number as weight (got 'abc')"),
    ("e.csv", WEIGHTED + "b,c,\n", "e.csv:3: expected a number as weight (got an empty cell)"),
    ("e.csv", WEIGHTED + "b,c,inf\n", "e.csv:3: expected a finite number as weight (got 'inf')"),
    ("e.csv", WEIGHTED + "b,c,nan\n", "e.csv:3: expected a number as weight (got 'nan')"),
    ("e.csv", WEIGHTED + "b,c,-2\n", "e.csv:3: expected a finite weight of at least 0 (got -2)"),
    ("e.csv", "a,b,x\nb,c,y\n", "e.csv:1: expected a number as weight (got 'x')"),
    ("e.csv", EDGES + "c,\n", "e.csv:4: expected a node id (got an empty cell)"),
    ("e.csv", EDGES + "c\n", "e.csv:4: expected 2 cells as in the header (got 1)"),
    ("e.csv", EDGES + "c,d,e\n", "e.csv:4: expected 2 cells (got 3)"),
    ("e.csv", "source,target\na,b,c\n", "e.csv:2: expected 2 cells as in the first line (got 3)"),
    ("e.txt", "a b\nc\n", "e.txt:2: expected 2 cells as in the first line (got 1)"),
    ("e.txt", "a b\nb c\n\nc\n", "e.txt:4: expected 2 cells (got fewer)"),
    ("e.csv", EDGES + 'c,"d\n', "e.csv:4: expected a closing quotation mark (got none)"),
    ("e.csv", EDGES.encode() + b"caf\xe9,b\n",
     "e.csv:4: expected text in UTF-8 (got the byte 0xe9)"),
    ("e.csv", EDGES.encode("utf-16"), "e.csv:1: expected text in UTF-8 (got UTF-16)"),
    ("e.csv", EDGES + "c\0,d\n", "e.csv:4: expected text in UTF-8 (got a NUL byte)"),
    ("e.csv", "a,b,c,d\na,b,c,d\n",
     "e.csv: expected columns named source and target (got 4 columns"),
    ("e.csv", "x,y,z,w\n1,2,3,4\n",
     "e.csv: expected columns named source and target (got columns 'x'"),
    ("e.csv", "source,target,from,to\na,b,c,d\n",
     "e.csv: expected one pair of columns for the ends"),
    ("e.csv", "source,target,weight,w\na,b,1,2\n",
     "expected one column for the weight (got 'weight', 'w')"),
    ("e.csv.gz", b"no gzip", "e.csv.gz: expected a gzip file"),
    ("e.csv.gz", gzip.compress(EDGES.encode(), mtime=0)[:-9], "e.csv.gz: expected a gzip file"),
    ("e.graphml", "<graphml>\n<graph>\n</graph", "e.graphml:3: malformed GraphML"),
    ("e.graphml", "<a/>", "e.graphml: expected GraphML"),
    ("e.gml", "graph [\n node [ id 0 ]\n edge [ source", "e.gml:4: malformed GML"),
    ("e.gml", "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 weight -1 ] ]",
     "e.gml, edge 0 - 1: expected a finite weight of at least 0 (got -1)"),
    ("e.mat", b"no matlab file", "e.mat: expected a MATLAB file"),
    ("e.mat", matlab(B=np.eye(2)), "e.mat: expected a sparse matrix 'A' (got B)"),
    ("e.mat", matlab(A=sp.csc_matrix(np.ones((2, 3)))),
     "e.mat: expected a square adjacency matrix"),
    ("e.mat", matlab(A=sp.csc_matrix([[0, np.nan], [1, 0]])),
     "e.mat, row 1, column 2: expected a finite weight of at least 0 (got nan)"),
    ("e.npz", b"PK broken", "e.npz: expected a graph in the gnn-benchmark layout"),
    ("e.npz", npz(x=np.ones(3)), "e.npz: expected a graph in the gnn-benchmark layout"),
    ("e.npz", npz(**csr(np.eye(2), "adj"), labels=np.array([0, None], dtype=object)),
     "e.npz: expected a graph in the gnn-benchmark layout (got: Object arrays"),
    ("e.npz", npz(**csr(np.eye(2), "adj"), labels=np.array([0, 1, 0])),
     "e.npz: expected 2 rows, one per node"),
    ("e.npz", npz(**csr(np.eye(2), "adj"), **csr([[1.0], [np.inf]], "attr")),
     "e.npz, node 1: expected finite features (got inf)"),
    ("e.pt", saved([1, 2]), "e.pt: expected a PyG Data (got list)"),
    ("e.pt", b"no file of torch", "e.pt: expected a PyG Data saved with torch.save"),
    ("e.pt", saved(Data(x=torch.ones(2, 1))), "e.pt: expected a Data with a tensor 'edge_index'"),
    ("e.pt", saved(Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [5]]))),
     "e.pt: expected edge indices in 0 .. 1 (got 5)"),
    ("e.pt", saved(Data(x=torch.tensor([[1.0], [np.nan]]), edge_index=torch.tensor([[0], [1]]))),
     "e.pt, node 1: expected finite features (got nan)"),
    ("e.pkl", pickle.dumps([1]), "e.pkl: pickle files are not read, as they can run code"),
    ("e.docx", "x", "e.docx: expected edges as CSV, TSV, Parquet"),
    ("e", "a,b\n", "expected edges as CSV, TSV, Parquet"),
]  # fmt: skip

BAD_FEATURES = [
    ("f.csv", "id,w\na,1\nb,\n",
     "f.csv:3: expected a number as feature in column 'w' (got an empty"),
    ("f.csv", "id,w\na,1\nb,inf\n", "f.csv:3: expected a finite number as feature in column 'w'"),
    ("f.csv", "id,w\na,1\nb,abc\nc,2\n",
     "f.csv:3: expected a number as feature in column 'w' (got 'abc')"),
    ("f.csv", "id,w\na,1\nb,2\na,3\n",
     "f.csv:4: expected one row of features per node (got a second"),
    ("f.csv", "id,w\na,1\n,2\n", "f.csv:3: expected a node id (got an empty cell)"),
    ("f.csv", "id\na\nb\n", "f.csv:2: expected columns of features beside the node id (got none)"),
    ("f.csv", "id,t\n" + "".join(f"n{i},word{i}\n" for i in range(101)),
     "f.csv: expected numbers or at most 100 different words in column 't' (got 101 words, such"),
    ("f.csv", "id,w\nx,1\ny,2\n", "f.csv: expected node ids of "),
    ("f.csv", "id,a,b\na,1,2\nb,1\n", "f.csv:3: expected 3 cells as in the header (got 2)"),
    ("f.json", '{"a": [1],\n "b": [2}', "f.json:2: malformed JSON"),
    ("f.json", "[1, 2]", "f.json: expected an object with node ids as keys (got a list)"),
    ("f.json", '{"a": [1], "a": [2]}', "f.json: expected every key once (got 'a' twice)"),
    ("f.json", '{"a": [1], "b": 3}', "expected a list of feature ids or an object of features for"),
    ("f.json", '{"a": {"x": "y"}}',
     "f.json: expected a number as feature 'x' of node 'a' (got \"y\")"),
    ("f.json", '{"a": {"x": NaN}}', "f.json, node 'a': expected finite features (got nan)"),
    ("f.json", "[" * 100_000, "f.json: malformed JSON"),
    ("f.npy", b"no array", "f.npy: expected a .npy array"),
    ("f.npy", npy(np.array([None, 1]), allow_pickle=True),
     "f.npy: expected a .npy array (got: Object"),
    ("f.npy", npy(np.ones(3)), "f.npy: expected features of shape [nodes, columns] (got [3])"),
    ("f.npy", npy(np.ones((3, 2))), "f.npy: rows have no node ids, so ids in "),
    ("f.npz", npz(a=np.ones(3), b=np.ones(2)), "f.npz: expected a sparse matrix saved by scipy"),
    ("f.content", "a\t1\n", "f.content:1: expected a node id, features and a label (got 2 cells)"),
    ("f.content", "a\t1\t0\tx\nb\tq\t1\ty\n",
     "f.content:2: expected a number as feature in column"),
    ("f.pkl", b"", "f.pkl: pickle files are not read"),
    ("f.xlsx", "x", "f.xlsx: expected features as CSV"),
]  # fmt: skip

BAD_LABELS = [
    ("l.csv", "id,label\na,x\nb,y\n\na,y\n",
     "l.csv:5: expected one label of node 'a' (got 'y', but 'x' at l.csv:2)"),
    ("l.csv", "id,label\na,\nb,-1\n", "l.csv: expected a label of some node (got none)"),
    ("l.csv", "id,label\n,x\n", "l.csv:2: expected a node id (got an empty cell)"),
    ("l.csv", "id,label\na,x\nb\n", "l.csv:3: expected 2 cells as in the header (got 1)"),
    ("l.csv", "id,one,two\na,1,2\n", "l.csv: expected a column named label or class (got columns"),
    ("l.csv", "id,label,class\na,x,y\n",
     "l.csv: expected one column for the label (got 'label', 'class')"),
    ("l.csv", "id\na\n", "l.csv:2: expected two columns, node id and label (got one)"),
    ("l.csv", "id,label\nx,1\n", "l.csv: expected node ids of "),
    ("l.json", json.dumps({"a": ["x", "y"]}),
     "l.json: expected one label of node 'a' (got several)"),
    ("l.npy", npy(np.ones(3)), "l.npy: expected one integer per node (got float64, shape [3])"),
]  # fmt: skip


def refused(**files):
    """Reading fails with one line, in an error that commands know; returns the line."""
    with pytest.raises(GraphFileError) as caught:
        read_graph(**files)
    assert isinstance(caught.value, DatasetError) and isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "content", "words"), BAD_EDGES)
def test_malformed_edges_are_refused_in_one_line(write, name, content, words):
    assert words in refused(edges=write(name, content))


@pytest.mark.parametrize(("name", "content", "words"), BAD_FEATURES)
def test_malformed_features_are_refused_in_one_line(write, name, content, words):
    assert words in refused(edges=write("e.csv", EDGES), features=write(name, content))


@pytest.mark.parametrize(("name", "content", "words"), BAD_LABELS)
def test_malformed_labels_are_refused_in_one_line(write, name, content, words):
    assert words in refused(edges=write("e.csv", EDGES), labels=write(name, content))


@pytest.mark.parametrize("which", ["edges", "features", "labels", "nodes"])
def test_a_missing_file_is_named(write, tmp_path, which):
    files = {"edges": write("e.csv", EDGES), which: tmp_path / "none.csv"}
    assert refused(**files) == f"{tmp_path / 'none.csv'}: expected a file (got none of this name)"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            "source_column",
            "expected a column 'who' for source_column (--source-column) (got columns",
        ),
        (
            "weight_column",
            "expected a column 'who' for weight_column (--weight-column) (got columns",
        ),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(write, option, words):
    message = refused(edges=write("e.csv", EDGES), **{option: "who"})
    assert words in message and "'source', 'target'" in message


def test_the_same_column_for_both_ends_is_refused(write):
    options = {"source_column": "source", "target_column": "source"}
    assert "expected two different columns" in refused(edges=write("e.csv", EDGES), **options)


def test_rows_without_ids_have_to_be_as_many_as_the_nodes(write, tmp_path):
    edges = write("e.csv", EDGES)
    x = write("x.npy", npy(np.ones((4, 2))))
    message = refused(edges=edges, features=x, nodes=write("n.txt", "a\nb\nc\n"))
    assert message == f"{x}: expected 3 rows, one per node of the file of nodes (got 4)"
    numbered = write("n.csv", "0,1\n1,9\n")
    assert "expected to be 0 .. 3 (got 9); name the order with nodes" in refused(
        edges=numbered, features=x
    )


def test_a_folder_needs_edges_and_one_file_of_each_kind(write, tmp_path):
    write("g/labels.csv", "a,x\n")
    assert "g: expected a file edges.csv" in refused(edges=tmp_path / "g")
    write("g/edges.csv", EDGES)
    write("g/edges.tsv", EDGES)
    assert "g: expected one file of edges (got edges.csv, edges.tsv)" in refused(
        edges=tmp_path / "g"
    )


def test_a_saved_file_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"edge_index": Marker(tmp_path / "ran")}, tmp_path / "e.pt")
    message = refused(edges=tmp_path / "e.pt")
    assert "a file with other objects is not read, as it can run code" in message
    (tmp_path / "p.npy").write_bytes(npy(np.array([Marker(tmp_path / "ran")]), allow_pickle=True))
    edges = tmp_path / "e.csv"
    edges.write_text(EDGES)
    refused(edges=edges, features=tmp_path / "p.npy")
    assert not (tmp_path / "ran").exists()


def test_a_broken_parquet_file_is_refused(write, tmp_path):
    pytest.importorskip("pyarrow")
    assert "e.parquet: expected a Parquet file" in refused(edges=write("e.parquet", b"PAR1 broken"))
    import pandas as pd

    frame = pd.DataFrame({"source": ["a", None], "target": ["b", "c"]})
    frame.to_parquet(tmp_path / "n.parquet")
    assert "n.parquet, row 2: expected a node id (got an empty cell)" in refused(
        edges=tmp_path / "n.parquet"
    )
    pd.DataFrame({"id": ["a"], "w": [[1.0, 2.0]]}).to_parquet(tmp_path / "f.parquet")
    message = refused(edges=write("e.csv", EDGES), features=tmp_path / "f.parquet")
    assert "f.parquet: expected cells with one value in column 'w' (got list" in message


SOUND = {
    "e.csv": ("edges", '# c\nsource,target,weight\n0,1,0.5\n1,2,2\n"2",0,1e0\n'),
    "e.txt": ("edges", "0 1 0.5\n1 2 2\n2 0 1\n"),
    "g.gml": ("edges", "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] ]"),
    "f.csv": ("features", "id,w,colour,open\n0,1.5,red,true\n1,2,blue,false\n2,3,,true\n"),
    "f.json": ("features", '{"0": [1, 2], "1": [3], "2": []}'),
    "h.json": ("features", '{"0": {"a": 1.5}, "1": {"b": 2}, "2": {}}'),
    "l.csv": ("labels", "id,label\n0,x\n1,y\n2,\n"),
    "l.json": ("labels", '{"0": "x", "1": null, "2": "y"}'),
}  # fmt: skip
TOKENS = [b"nan", b"inf", b"-1", b"\xff", b"\0", b'"', b",", b"\n", b"#", b"1e400", b"", b"[", b"}"]


@pytest.mark.parametrize("name", SOUND)
def test_a_file_damaged_at_random_is_refused_in_one_line_or_read_as_a_graph(write, name):
    which, text = SOUND[name]
    rng, edges = np.random.default_rng(0), write("edges.csv", "source,target\n0,1\n1,2\n")
    for _ in range(40):
        raw = bytearray(text.encode())
        for _ in range(rng.integers(1, 4)):
            start = int(rng.integers(len(raw) + 1))
            raw[start : start + int(rng.integers(4))] = TOKENS[rng.integers(len(TOKENS))]
        path = write(name, bytes(raw))
        try:
            check = read_graph(**{"edges": edges, which: path})
        except GraphFileError as error:
            assert "\n" not in str(error) and str(path.parent) in str(error)
        else:
            assert bool(torch.isfinite(check.x).all()) and check.num_nodes > 0


@pytest.mark.parametrize("name", ["nothing", "no/such/folder", "e.xyz"])
@pytest.mark.parametrize("which", ["edges", "features", "labels"])
def test_a_path_that_is_not_there_is_no_unknown_format(write, name, which):
    files = {"edges": write("e.csv", "a,b\n"), which: name}
    with pytest.raises(GraphFileError, match=rf"{name}: expected a file.* \(got none of this name"):
        read_graph(**files)


@pytest.mark.parametrize("data", ["{}", "{'weight': 1.0}"])
def test_attributes_that_networkx_writes_beside_edges_are_told(write, data):
    """``write_edgelist`` writes a dictionary in each line unless it is told otherwise."""
    words = r"g\.edgelist:1: expected numbers .*: .* write_edgelist\(\.\.\., data=False\)"
    with pytest.raises(GraphFileError, match=words):
        read_graph(write("g.edgelist", f"a b {data}\nb c {data}\n"))


def test_features_that_a_model_wants_and_nobody_gave_are_asked_for(write):
    with pytest.raises(GraphFileError, match=r"expected features x, y \(got none\): .*--features"):
        read_graph(write("e.csv", "a,b\nb,c\n"), feature_names=["x", "y"])


def test_numpys_advice_to_run_code_is_not_repeated(write):
    with pytest.raises(GraphFileError, match=r"f\.npy: expected a \.npy array \(got: no NPY data"):
        read_graph(write("e.csv", "0,1\n"), write("f.npy", "node,x\n0,1\n"))

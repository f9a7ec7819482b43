"""GraphML and GML files by networkx: the graph, and the attributes of its nodes as a table."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.raw import kind_of, read_content, read_text
from grandpp.data.graph_files.tables import Table, frame_table


def read_network(path: Path) -> Any:
    """Read a GraphML or GML file (``.gz`` too) as a networkx graph.

    The nodes of a GML file are called by their ``label`` where these are distinct, else by ``id``.

    Raises:
        GraphFileError: The file is malformed; names the line where the parser tells it.
    """
    import networkx as nx  # takes a while

    if kind_of(path) == ".graphml":
        content = read_content(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return nx.read_graphml(io.BytesIO(content))
        except ET.ParseError as error:
            raise GraphFileError(
                f"{path}:{error.position[0]}: malformed GraphML ({error.msg.split(': ')[0]})"
            ) from None
        except Exception as error:  # networkx raises whatever a wrong file makes it stumble over
            raise GraphFileError(f"{path}: expected GraphML (got: {error})") from None
    # networkx opens files as ASCII; Gephi and others write UTF-8.
    lines = read_text(path, comments=False).decode().splitlines()
    try:
        try:
            return nx.parse_gml(lines)
        except nx.NetworkXError as error:
            if "label" not in str(error):
                raise
            return nx.parse_gml(lines, label="id")
    except Exception as error:  # as above
        place = re.search(r" at \((\d+), \d+\)$", str(error))
        line = f":{place[1]}" if place else ""
        words = str(error)[: place.start()] if place else str(error)
        raise GraphFileError(f"{path}{line}: malformed GML ({words})") from None


def node_table(path: Path) -> Table:
    """The attributes of the nodes of a GraphML or GML file, ids in the first column."""
    graph = read_network(path)
    ids = [str(node) for node in graph.nodes]
    attributes = pd.DataFrame([dict(data) for _, data in graph.nodes(data=True)])
    attributes.insert(0, "", pd.Series(ids, dtype=object))
    return frame_table(path, attributes, lambda row: f"{path}, node {ids[row]}")

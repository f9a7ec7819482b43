"""JSON objects with node ids as keys: features, and anything else that has one value per node."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.ids import factor_of
from grandpp.data.graph_files.raw import read_text
from grandpp.data.graph_files.rows import Features, check_finite, unique_ids


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object whose keys are node ids.

    Raises:
        GraphFileError: It is malformed (with its line), another thing, or a key occurs twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise GraphFileError(f"{path}: expected every key once (got '{twice}' twice)")
        return found

    try:
        found = json.loads(read_text(path, comments=False), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise GraphFileError(f"{path}:{error.lineno}: malformed JSON ({error.msg})") from None
    except RecursionError:
        raise GraphFileError(f"{path}: malformed JSON (nested too deeply)") from None
    if not isinstance(found, dict) or not found:
        raise GraphFileError(
            f"{path}: expected an object with node ids as keys (got {_json_kind(found)})"
        )
    return found


def json_features(path: Path) -> Features:
    """Read ``{node: [feature, ...]}`` or ``{node: {feature: value}}``, in compressed rows.

    Columns are the features that occur, numbers in rising order or words in alphabetical order.

    Raises:
        GraphFileError: The file is malformed, or an entry is neither, or no finite number.
    """
    found = load_json(path)
    keys, entries = list(found), list(found.values())
    wrong = next((i for i, e in enumerate(entries) if type(e) is not type(entries[0])), None)
    if not isinstance(entries[0], list | dict) or wrong is not None:
        i = wrong or 0
        raise GraphFileError(
            f"{path}: expected a list of feature ids or an object of features for every node "
            f"(got {_json_kind(entries[i])} for node '{keys[i]}')"
        )
    lengths = np.array([len(entry) for entry in entries], dtype=np.int64)
    rows = np.repeat(np.arange(len(keys)), lengths)
    words = np.array([str(f) for f in chain.from_iterable(entries)] or [], dtype=object)
    if isinstance(entries[0], dict):
        values = list(chain.from_iterable(entry.values() for entry in entries))
        bad = next((i for i, v in enumerate(values) if not isinstance(v, int | float)), None)
        if bad is not None:
            raise GraphFileError(
                f"{path}: expected a number as feature '{words[bad]}' of node "
                f"'{keys[rows[bad]]}' (got {json.dumps(values[bad])[:40]})"
            )
        data = np.array(values, dtype=np.float64)
    else:
        nested = [f for f in chain.from_iterable(entries) if isinstance(f, list | dict)]
        if nested:
            raise GraphFileError(f"{path}: expected feature ids (got {_json_kind(nested[0])})")
        data = np.ones(words.size)
    if not words.size:
        raise GraphFileError(f"{path}: expected a feature of some node (got none)")
    features = factor_of(words)
    numbers = pd.to_numeric(pd.Series(features.values.astype(str)), errors="coerce")
    order = (
        np.argsort(features.values.astype(str), kind="stable")
        if numbers.isna().any()
        else np.argsort(numbers.to_numpy(), kind="stable")
    )
    columns = np.argsort(order)[features.codes]
    x = sp.csr_matrix((data, (rows, columns)), shape=(len(keys), order.size))
    if not isinstance(entries[0], dict):
        x.data[:] = 1.0  # a feature named twice is there
    ids = factor_of(np.array(keys, dtype=object))
    unique_ids(ids, lambda row: f"{path}, node '{keys[row]}'", "features")
    x = check_finite(x, lambda row: f"{path}, node '{keys[row]}'")
    names = [str(features.values[i]) for i in order]
    return Features(ids.values, x, names, f"{len(names)} features of {path.name}")


def _json_kind(value: Any) -> str:
    if isinstance(value, dict | list) and not value:
        return "an empty object" if isinstance(value, dict) else "an empty list"
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return kinds.get(type(value), "nothing" if value is None else "a number")

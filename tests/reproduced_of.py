"""Records of a reproduction with chosen accuracies, as this version would make them."""

from __future__ import annotations

from records_of import records_of

from grandpp.studies.thesis.printed import ModelVariant
from grandpp.studies.thesis.table_runs import cell_run

ORIGIN = {"device": "cpu", "git_commit": "c1", "versions": {"torch": "2"}, "seconds": 36.0}


def reproduced_of(model, values, *, dataset="Cora", labels=1, depth=None, epochs=None, **more):
    """One record per value on the splits 0, 1, ..., with the settings of this version."""
    protocol = more.get("protocol", "grand")
    own = cell_run(ModelVariant(model), dataset, labels, depth, protocol=protocol, epochs=epochs)
    records = records_of(
        model, values, dataset=dataset, labels=labels,
        **{**ORIGIN, "config_hash": own.config_hash, **more},
    )  # fmt: skip
    for record in records:
        run = {"split": record["split"], "seed": record["seed"]}
        record["config"] = {**own.choices(), **run}
        record["status"] = "max_nfe" if record["test_accuracy"] is None else "success"
    return records


def around(mean, n=20, width=0.02):
    """Values with exactly this mean, alternately a width above and below it."""
    return [mean + (width if i % 2 else -width) for i in range(n)]

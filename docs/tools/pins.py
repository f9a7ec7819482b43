"""Pin the settings of the published records for the tests that they keep their hashes.

    python docs/tools/pins.py

Run it after records of new settings were added to results/table-*.jsonl.gz. It writes
tests/studies/low_label/config_hashes.json: of every table the hashes of its settings, the
settings themselves, read from the records, and the number of records. The tests then make each
configuration anew with today's code and compare.
"""

from __future__ import annotations

import json
from pathlib import Path

from grandpp.training import load_records
from grandpp.training.packing import unpack_records

ROOT = Path(__file__).parents[2]
PINS = ROOT / "tests" / "studies" / "low_label" / "config_hashes.json"
OF_ONE_RUN = {"split": 0, "seed": 0}  # not part of a hash; the tests set both to zero


def pins(path: Path) -> dict[str, dict]:
    """Per hash of the table ``path``, the settings and the number of their records."""
    found: dict[str, dict] = {}
    for record in unpack_records(load_records([path])):
        config = {k: v for k, v in record["config"].items() if k not in OF_ONE_RUN}
        group = found.setdefault(record["config_hash"], {"config": config, "records": 0})
        group["records"] += 1
    return {config_hash: found[config_hash] for config_hash in sorted(found)}


def main() -> None:
    """Rewrite the list."""
    tables = sorted((ROOT / "results").glob("table-*.jsonl.gz"))
    found = {path.name: pins(path) for path in tables}
    PINS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

"""Profiles of Hypothesis, the marker ``fuzz`` and the number of cases that ran."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import COUNTS, RUN
from hypothesis import HealthCheck, Phase, configuration, settings
from profiles import SHARES, chosen_profile, chosen_seed

HERE = Path(__file__).parent

for name in SHARES:
    settings.register_profile(
        name,
        database=None,  # a case that failed is reproduced by its seed or its printed blob
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        print_blob=True,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )


# Called when this file is loaded, which is before the tests beside it are imported.
def pytest_configure(config):
    RUN.profile, RUN.seed = chosen_profile(config), chosen_seed(config)
    if config.getoption("--hypothesis-profile", None) is None:
        settings.load_profile(RUN.profile)
    if hasattr(config, "cache"):
        configuration.set_hypothesis_home_dir(config.cache.mkdir("hypothesis"))


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.fuzz)


def pytest_terminal_summary(terminalreporter):
    if COUNTS:
        terminalreporter.write_line(
            f"fuzz: {sum(COUNTS.values()):,} cases of {len(COUNTS)} properties "
            f"(profile '{RUN.profile}', --hypothesis-seed={RUN.seed})"
        )

"""Files of a release agree with the package."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.version import Version

import grandpp

ROOT = Path(__file__).parents[1]


def test_the_version_is_said_in_one_place_and_repeated_rightly():
    assert metadata.version("grandpp") == grandpp.__version__
    said = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert said is not None
    assert said[1] == grandpp.__version__


def test_the_changelog_names_what_is_not_released_and_no_later_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    numbers = [Version(name) for name in headings[1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert all(number <= Version(grandpp.__version__) for number in numbers)

"""Files of a release agree with the package."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

import grandpp

ROOT = Path(__file__).parents[1]


def test_the_version_is_said_in_one_place_and_repeated_rightly():
    assert metadata.version("grandpp") == grandpp.__version__
    said = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert said is not None
    assert said[1] == grandpp.__version__


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps_of(path):
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]], jobs


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_parses_and_installs_extras_that_exist(path):
    steps, _ = steps_of(path)
    assert all(("uses" in step) != ("run" in step) for step in steps)
    commands = "\n".join(step.get("run", "") for step in steps)
    wanted = {
        extra for found in re.findall(r"\.\[([\w,]+)\]", commands) for extra in found.split(",")
    }
    assert wanted <= set(extras())


def extras():
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    return re.findall(r"^(\w+) = \[", section, re.MULTILINE)


def test_tests_run_on_every_python_that_the_package_names():
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r"Python :: (3\.\d+)", text)
    _, jobs = steps_of(ROOT / ".github" / "workflows" / "tests.yml")
    assert jobs["tests"]["strategy"]["matrix"]["python"] == named
    assert f'requires-python = ">={named[0]}"' in text


def test_publishing_has_no_secret_and_only_its_own_job_may_ask_for_a_token():
    path = ROOT / ".github" / "workflows" / "publish.yml"
    steps, jobs = steps_of(path)
    assert "secrets." not in path.read_text()
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert steps[-1]["uses"].startswith("pypa/gh-action-pypi-publish@")


def test_the_changelog_names_what_is_not_released_and_no_later_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    numbers = [Version(name) for name in headings[1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert all(number <= Version(grandpp.__version__) for number in numbers)

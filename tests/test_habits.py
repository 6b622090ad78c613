"""What surrounds the code says the same as the code: versions, pins, sessions, links; and names nobody else's host."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HABITS = [
    *WORKFLOWS,
    *sorted((ROOT / ".github").rglob("*.md")),
    *sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")),
    *(ROOT / name for name in ("CITATION.cff", ".pre-commit-config.yaml", ".editorconfig")),
    *(ROOT / name for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")),
]
CITATION = ROOT / "CITATION.cff"


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_version_is_cited_and_has_its_changes_told() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    cited = loaded(CITATION)
    assert released[0] == (PROJECT["version"], str(cited["date-released"]))
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])


def test_paper_and_software_are_cited_apart() -> None:
    cited = loaded(CITATION)
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "what the format requires"
    assert (cited["type"], cited["preferred-citation"]["type"]) == ("software", "article")
    assert len(cited["preferred-citation"]["authors"]) == 5


def test_the_forge_tests_every_python_that_the_package_is_for() -> None:
    stated = [entry.rpartition(" ")[2] for entry in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", entry)]
    jobs = loaded(ROOT / ".github" / "workflows" / "check.yml")["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python-version"] == stated


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_runs_what_is_there(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        scripts = [command for command in commands if command.startswith(".")]
        assert all((ROOT / script).is_file() for script in scripts)
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@[\w/.]+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_hooks_before_a_commit_run_the_versions_of_lint() -> None:
    pins = (ROOT / "constraints" / "core.txt").read_text().splitlines()
    hooks = [hook for repo in loaded(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == ["ruff-format", "ruff-check"]
    assert all(set(hook["additional_dependencies"]) <= set(pins) for hook in hooks)


@pytest.mark.parametrize("path", HABITS, ids=lambda path: path.name)
def test_no_habit_names_a_host_of_others(path: Path) -> None:
    assert re.findall(r"https?://(?!example\.org/)[^\s)]*", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in HABITS if path.suffix == ".md"], ids=lambda path: path.name)
def test_what_a_habit_links_to_is_there(path: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []

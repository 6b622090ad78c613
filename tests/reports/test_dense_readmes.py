"""READMEs and metafiles of detection/ and segmentation/: every config is named, every number is one of Table 7's."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from benchmarks.records.collected import read_rows
from benchmarks.records.names import MAPS

ROOT = Path(__file__).parents[2]
FOLDERS = ("detection", "segmentation")
NETS = {"ResNet-18": "resnet18", "ResNet-34": "resnet34", "ResNet-50": "resnet50"}


def measured(folder: str) -> pd.DataFrame:
    """Recorded rows of a task of Table 7, of the frozen net and of the default."""
    rows = read_rows(ROOT / "results" / "embedded")
    return rows[(rows["suite"] == "dense") & (rows["column"] == folder) & rows["variant"].isin(["", MAPS])]


def of_net(folder: str, net: str, modules: int) -> pd.Series:
    rows = measured(folder)
    found = rows[(rows["architecture"] == net) & (rows["n_delta_modules"] == modules)]["value"]
    assert len(found) == 3
    return found


def configs(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder / "configs").glob("*.py")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_readme_names_every_config_and_shows_what_was_measured(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert {name for line in lines for name in re.findall(r"`(\w+)`", line[0])} == configs(folder)
    shown = {}
    for line in lines:
        cell = line[-1].strip(" |")
        if not cell:
            continue
        net = NETS[line[2]]
        values = [of_net(folder, net, modules) for modules in (0, 4)]
        assert cell == ", ".join(f"{found.mean():.2f} ± {found.std():.2f}" for found in values)
        shown[net] = cell
    assert shown.keys() == set(measured(folder)["architecture"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_metafile_names_every_config_and_what_was_measured(folder: str) -> None:
    models = yaml.safe_load((ROOT / folder / "metafile.yml").read_text(encoding="utf-8"))["Models"]
    assert {Path(model["Config"]).stem for model in models} == {model["Name"] for model in models} == configs(folder)
    numbers = 0
    for model in models:
        for result in model.get("Results", []):
            net = NETS[model["Metadata"]["Backbone"].partition(",")[0]]
            expected = of_net(folder, net, 4 if model["Name"].endswith("_delta") else 0).mean()
            assert list(result["Metrics"].values()) == [pytest.approx(expected, abs=0.005)]
            numbers += 1
    assert numbers == 2 * measured(folder)["architecture"].nunique()

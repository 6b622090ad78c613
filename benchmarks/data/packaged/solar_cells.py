"""Electroluminescence photographs of solar cells (PyPI elpv-dataset): 2,624 cells of 44 modules, 300 x 300 px, grey.

Experts gave each cell a probability of a defect: 0, 1/3, 2/3 or 1. The package does not name the module of a cell, but
its files are in the order of the modules: the numbers of cells in `solar_modules.csv` follow from the frames and the
shading in the photographs, and make the 18 monocrystalline and 26 polycrystalline modules that the authors count. Cells
of one module are alike, wafers cut from one block nearly the same, and the 50 cells from 1735 were photographed twice
(again from 2277), so the splits are by module; docs/data.md says how they were drawn.

Source: Buerhop-Lutz et al., A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence
Imagery, EU PVSEC 2018; Deitsch et al., Automatic Classification of Defective Photovoltaic Module Cells in
Electroluminescence Images, Solar Energy 185, 2019.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch

from benchmarks.data.listed_images import ListedImages
from benchmarks.data.packaged.task import Labelled
from delta_core.training.data.splits import Part
from delta_core.training.errors import UserError

PACKAGE = "elpv_dataset"
FOUR_GRADES = {0: "functional", 1: "possibly defective", 2: "likely defective", 3: "defective"}
"""Probability of a defect in thirds -> class."""


@dataclass(frozen=True, kw_only=True)
class SolarCells:
    """The photographs of some grades."""

    grades: Mapping[int, str] = field(default_factory=lambda: FOUR_GRADES)
    """Probability of a defect in thirds -> class; photographs of other grades are left out."""
    packages: Mapping[str, str] = field(default_factory=lambda: {PACKAGE: "elpv-dataset"})
    source: str = (
        "electroluminescence photographs of solar cells of elpv-dataset "
        "(Buerhop-Lutz et al. 2018, Deitsch et al. 2019; CC BY-NC-SA 4.0, not for commercial use)"
    )

    @property
    def class_names(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(self.grades.values())

    def identity(self) -> str:
        """Hash of name, size, class and split of every photograph.

        Raises:
            UserError: if the package is not the one whose modules are known.
        """
        root, digest = data_folder(), hashlib.sha256()
        table = self._table(root)
        try:
            sizes = [(root / file).stat().st_size for file in table["file"]]
        except OSError as error:
            raise UserError(
                f"{error.filename} of elpv-dataset is missing; run: pip install --force-reinstall elpv-dataset"
            ) from error
        for file, size, label, split in zip(table["file"], sizes, table["label"], table["split"], strict=True):
            digest.update(f"{file}|{size}|{label}|{split}\n".encode())
        return digest.hexdigest()[:12]

    def read(self, cache: Path) -> tuple[dict[Part, Labelled], str]:  # noqa: ARG002
        """The splits, decoded image by image, and their identity; nothing is left in `cache`."""
        root = data_folder()
        table = self._table(root)

        def part(split: Part) -> Labelled:
            rows = table[table["split"] == split]
            labels = rows["label"].tolist()
            return ListedImages(root, rows["file"].tolist(), labels), torch.tensor(labels)

        return {"train": part("train"), "val": part("val"), "test": part("test")}, self.identity()

    def _table(self, root: Path) -> pd.DataFrame:
        table = photographs(root)
        table = table[table["grade"].isin(list(self.grades))]
        places = {grade: place for place, grade in enumerate(self.grades)}
        return table.assign(label=table["grade"].map(places))


def data_folder() -> Path:
    """Folder of the package in which labels.csv and the images lie."""
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None, "the task was found, and with it the package"
    return Path(spec.origin).parent / "data"


def photographs(root: Path) -> pd.DataFrame:
    """All photographs in the order of the package: `file` below `root`, `grade` (0 to 3), `type`, `module`, `split`.

    Raises:
        UserError: for a labels.csv that does not list the 44 modules one after the other.
    """
    modules = pd.read_csv(Path(__file__).with_name("solar_modules.csv"))
    cells = modules.loc[modules.index.repeat(modules["cells"])]
    try:
        table = pd.read_csv(root / "labels.csv", sep=r"\s+", names=["file", "probability", "type"])
    except (ValueError, OSError):  # pandas' parser errors are ValueErrors
        table = pd.DataFrame(columns=["file", "probability", "type"])
    if table["type"].tolist() != cells["type"].tolist():
        raise UserError(
            f"{root / 'labels.csv'} does not list the {len(cells)} photographs whose modules are known; "
            "run: pip install --force-reinstall elpv-dataset==1.0.0.post1"
        )
    grade = (table["probability"] * 3).round().astype(int)
    return table.assign(grade=grade, module=cells.index, split=cells["split"].to_numpy())

"""Write the photographs of solar cells as a folder of images, split by module: the folder of docs/solar-cells.md.

python docs/examples/solar_cells/write_folder.py FOLDER [CELLS]     CELLS: of each class and split; default: all
"""

import shutil
import sys
from pathlib import Path

from benchmarks.data.packaged.solar_cells import data_folder, photographs

target = Path(sys.argv[1])
at_most = int(sys.argv[2]) if len(sys.argv) > 2 else None

cells = photographs(data_folder())
cells = cells[cells["grade"].isin([0, 3])].replace({"grade": {0: "functional", 3: "defective"}})
for (split, name), some in cells.groupby(["split", "grade"]):
    folder = target / split / name
    folder.mkdir(parents=True)
    for file in some["file"][:at_most]:
        shutil.copy(data_folder() / file, folder)
print(f"{sum(1 for _ in target.rglob('*.png'))} photographs in {target}")

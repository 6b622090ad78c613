"""Every data set of the paper, by name."""

from benchmarks.data.catalogue import decathlon, images, voc
from benchmarks.data.catalogue.entry import DataSet
from delta_core.nearest import unknown
from delta_core.training.errors import UserError

CATALOGUE: dict[str, DataSet] = {
    entry.name: entry for entry in (*images.DATA_SETS, *decathlon.DATA_SETS, *voc.DATA_SETS)
}


def data_set(name: str) -> DataSet:
    """The entry of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in CATALOGUE:
        raise UserError(unknown("Data set", name, CATALOGUE, "python -m benchmarks list data"))
    return CATALOGUE[name]

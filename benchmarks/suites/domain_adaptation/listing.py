"""What a reader calls the rows of Table 6; without torch, for reports."""

FIRST = {"vanilla": "Vanilla", "adda": "ADDA", "target_only": "Target only"}
ADDED = {"uniform_prior": "uniform prior", "delta_networks": "Delta (4)"}


def label_of(method: str) -> str:
    """A method as the paper writes it.

    >>> label_of("adda+uniform_prior+delta_networks")
    'ADDA + uniform prior + Delta (4)'
    """
    first, *added = method.split("+")
    return " + ".join([FIRST.get(first, first), *(ADDED.get(name, name) for name in added)])

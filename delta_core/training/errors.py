"""The exception that is meant for the person at the keyboard, and checks that raise it."""


class UserError(Exception):
    """Bad input, told in one sentence: the value, what was expected, the fix.

    Command lines print the sentence and exit with code 2; nothing is written before it is raised.
    """


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_counts(**counts: int | None) -> None:
    """Raise UserError for a count below 1; each is named as a flag and an argument of Python both are."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{name.replace('_', ' ')} is {value}; give a whole number of at least 1.")


def check_precision(precision: str) -> None:
    """Raise UserError unless Lightning Fabric's name of a precision is one of ours."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known; choose one of {', '.join(PRECISIONS)}.")

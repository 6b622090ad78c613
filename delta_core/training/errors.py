"""The exceptions that are meant for the person at the keyboard, and checks that raise them."""

import errno
from importlib.util import find_spec


class UserError(Exception):
    """Bad input, told in one sentence: the value, what was expected, the fix.

    Command lines print the sentence and exit with code 2; nothing is written before it is raised.
    """


class MachineError(Exception):
    """Trouble of the machine, told in one sentence: what, where, the fix. Command lines exit with code 1."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
CROWDED = (errno.EMFILE, errno.ENFILE)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EIO, errno.ESTALE)


def trouble_of_the_machine(error: BaseException) -> str | None:
    """What an exception of memory, disk or files means, in one sentence; None for any other.

    >>> trouble_of_the_machine(OSError(errno.ENOSPC, "No space left on device", "a.png"))
    'The disk is full (a.png); make room, then start again: what was finished is kept.'
    """
    text = str(error)
    if isinstance(error, MachineError):
        return text
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "There is not enough memory; take a smaller batch size, smaller images or another device."
    code = error.errno if isinstance(error, OSError) else None
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    # The last two are what safetensors and torch.save say of it.
    if code in FULL or "No space left on device" in text or "inline_container" in text:
        return f"The disk is full{where}; make room, then start again: what was finished is kept."
    if code in FORBIDDEN:
        return f"A file or folder may not be read or written{where}; see who owns it, or name another."
    if code in CROWDED:
        return f"Too many files are open at once{where}; run `ulimit -n 1024` first, then start again."
    if isinstance(error, OSError) and code in GONE and where:
        told = f"{error.strerror}{where}: it has gone or changed meanwhile; see what else is at it"
        return f"{told}, then start again: what was finished is kept."
    return None


PIP_NAMES = {
    "PIL": "pillow",
    "elpv_dataset": "elpv-dataset",
    "huggingface_hub": "huggingface-hub",
    "lightning_fabric": "lightning-fabric",
    "scikit_posthocs": "scikit-posthocs",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""Packages that pip calls otherwise than Python does."""


def missing_package(error: ModuleNotFoundError) -> str | None:
    """What to install where a package is missing, in one sentence; None where a part of an installed one is.

    >>> missing_package(ModuleNotFoundError(name="nowhere.tuners"))
    'The package nowhere is missing; run: pip install nowhere'
    """
    name = (error.name or "").partition(".")[0]
    if not name or find_spec(name) is not None:
        return None
    return f"The package {name} is missing; run: pip install {PIP_NAMES.get(name, name)}"


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_counts(**counts: int | None) -> None:
    """Raise UserError for a count below 1; each is named as a flag and an argument of Python both are."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{name.replace('_', ' ')} is {value}; give a whole number of at least 1.")


def check_precision(precision: str, device: str | None = None) -> None:
    """Raise UserError unless Lightning Fabric's name of a precision is one of ours, and is for that kind of device."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known; choose one of {', '.join(PRECISIONS)}.")
    if precision == "16-mixed" and device == "cpu":
        raise UserError("precision '16-mixed' is not for the CPU; choose 'bf16-mixed' or '32-true' there.")


def check_workers(workers: int) -> None:
    """Raise UserError for a number of processes below 0."""
    if workers < 0:
        raise UserError(f"workers is {workers}; give the number of processes that decode images, or 0 for none.")

"""What a grid asks of the system before it starts: files that may be open at once."""

import resource

from delta_core.training.errors import UserError


def open_files_needed(workers: int, loader_workers: int) -> int:
    """Files that the driver or one of its workers has open at once, with room to spare.

    The driver holds pipes to its workers, and a run pipes to its loaders and the images that are on their way.

    >>> open_files_needed(workers=2, loader_workers=0)
    72
    """
    return 64 + 4 * workers + 16 * loader_workers


def check_open_files(workers: int, loader_workers: int) -> None:
    """Raise UserError where `ulimit -n` is too low: a run would fail in its middle, and say something else."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = open_files_needed(workers, loader_workers)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise UserError(
            f"This shell lets a process open {allowed} files, and {workers} worker(s) with {loader_workers} loader(s) "
            f"each need {needed}; run `ulimit -n {needed}` first, or give fewer --workers or --loader-workers."
        )

"""One way to a world of any scale."""

from dataclasses import replace

from benchmarks.worlds.embedded import embedded_world
from benchmarks.worlds.local import local_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.paper import paper_world
from benchmarks.worlds.real import real_world
from benchmarks.worlds.recipes import cut_to
from benchmarks.worlds.world import TaskSet, World


def open_world(options: Options, task_set: TaskSet) -> World:
    """The world of `options.scale` for a table with these tasks, checked: everything it names exists and fits together.

    Raises:
        UserError: for names that do not exist and options that contradict each other.
    """
    options.check()
    world = _world(options, task_set)
    return replace(world, recipes=cut_to(options.steps, world.recipes)) if options.steps else world


def _world(options: Options, task_set: TaskSet) -> World:
    match options.scale:
        case "real":
            return real_world(options, task_set)
        case "embedded":
            return embedded_world(options, task_set)
        case "local":
            return local_world(options, task_set.grouping)
        case "paper":
            return paper_world(options, task_set)

"""Studies of our own choices, as functions from a world to runs; what they found is in delta_core/DECISIONS.md."""

from dataclasses import replace

from benchmarks.methods.base import Method
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.records.names import GATES_ALONE, STUDY_DEFAULTS
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import TABLE2_ARCHITECTURES
from benchmarks.worlds.world import World
from delta_core import DeltaConfig
from delta_core.training.recipe import Recipe

STUDY_MODULES = 2
"""Delta (2): the smallest patch in which a BatchNorm stands half-way through the frozen net."""


def study_defaults(world: World, seeds: int) -> list[RunSpec]:
    """What the paper leaves open: gates' start x BatchNorm, then the module's input and the recipe around two starts.

    Arms differ from each other in what their name says. The base task is left out: the base is frozen by contract.
    Seeds come first, so that a study that is cut short has whole repetitions.
    """
    return [
        run_of(world, suite=STUDY_DEFAULTS, architecture=architecture, task=task, method=method, seed=seed, base=False)
        for seed in range(seeds)
        for architecture in world.among(TABLE2_ARCHITECTURES)
        for task in world.tasks
        for method in _arms(world.recipes.head, world.recipes.delta[GATES_ALONE])
    ]


def _arms(head: Recipe, recipe: Recipe) -> list[Method]:
    # The input of the module is an arm of its own below, whatever the default has become.
    whole = DeltaConfig.gates_alone(n_modules=STUDY_MODULES, module_input="full")
    gates = {
        "half": whole,
        "+-1": replace(whole, gate_start="identity", gate_start_logit=1.0),
        "+-2": replace(whole, gate_start="identity", gate_start_logit=2.0),
    }
    arms: dict[str, tuple[DeltaConfig, Recipe]] = {}
    for start, config in gates.items():
        arms |= {
            f"gates {start}, fresh BN": (replace(config, norm_start="fresh"), recipe),
            f"gates {start}, no BN": (replace(config, norm_place="none", norm_start="fresh"), recipe),
            f"gates {start}, identity BN": (config, recipe),
            f"gates {start}, identity BN on skip sum": (replace(config, norm_place="skip_sum"), recipe),
        }
    for start in ("half", "+-1"):
        centre, name = gates[start], f"gates {start}, identity BN"
        arms |= {
            f"{name}, module at stride 2": (replace(centre, module_input="stride2"), recipe),
            f"{name}, module on 7x7": (replace(centre, module_input="pool7"), recipe),
            f"{name}, lr 0.001": (centre, replace(recipe, lr=1e-3)),
            f"{name}, lr 0.01": (centre, replace(recipe, lr=1e-2)),
            f"{name}, weight decay 0.1": (centre, replace(recipe, weight_decay=0.1)),
        }
    deltas = [DeltaNetworks(recipe=recipe, config=config, reading=name) for name, (config, recipe) in arms.items()]
    return [FcOnly(recipe=head), *deltas]

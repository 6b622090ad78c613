"""Methods: a frozen dataclass says what to do, `measure` does it on one cell. One method, one file."""

from benchmarks.methods.base import Cell, Measurement, Method, Outcome
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.paint import Paint
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.methods.skips import DeltaArm, DeltaGates, Skips, table8_policies

__all__ = [
    "Cell",
    "DeltaArm",
    "DeltaGates",
    "DeltaNetworks",
    "FcOnly",
    "FineTune",
    "Measurement",
    "Method",
    "Outcome",
    "Paint",
    "Scratch",
    "ScratchDelta",
    "Skips",
    "table8_policies",
]

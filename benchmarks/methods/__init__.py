"""Methods: a frozen dataclass says what to do, `measure` does it on one cell. One method, one file."""

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.base import Cell, Measurement, Method, Outcome
from benchmarks.methods.batchnorm_adapt import BatchNormAdapt
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.ia3 import Ia3
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.paint import Paint
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.methods.skips import DeltaArm, DeltaGates, Skips, table8_policies
from benchmarks.methods.ssf import ScaleShift

__all__ = [
    "AdaptedMethod",
    "BatchNormAdapt",
    "BitFit",
    "Cell",
    "DeltaArm",
    "DeltaGates",
    "DeltaNetworks",
    "FcOnly",
    "FineTune",
    "Ia3",
    "Lora",
    "Measurement",
    "Method",
    "NormTuning",
    "Outcome",
    "Paint",
    "ParallelAdapters",
    "ScaleShift",
    "Scratch",
    "ScratchDelta",
    "SeriesAdapters",
    "Skips",
    "table8_policies",
]

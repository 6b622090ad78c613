"""Train the patch of a model on a folder of images, a data set or tensors: `fit` and `evaluate`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from delta_core.training.process import missing_extra

if TYPE_CHECKING:
    from delta_core.training.accuracy import Accuracy
    from delta_core.training.callback import Callback
    from delta_core.training.engine import DivergedError
    from delta_core.training.errors import UserError
    from delta_core.training.evaluation import evaluate
    from delta_core.training.fitting import FitResult, fit
    from delta_core.training.history import Epoch
    from delta_core.training.progress import RichProgress
    from delta_core.training.recipe import Recipe
    from delta_core.training.tensorboard_log import TensorBoardLog

__all__ = [
    "Accuracy",
    "Callback",
    "DivergedError",
    "Epoch",
    "FitResult",
    "Recipe",
    "RichProgress",
    "TensorBoardLog",
    "UserError",
    "evaluate",
    "fit",
]

_HOME = {
    "Accuracy": "accuracy",
    "Callback": "callback",
    "DivergedError": "engine",
    "Epoch": "history",
    "FitResult": "fitting",
    "Recipe": "recipe",
    "RichProgress": "progress",
    "TensorBoardLog": "tensorboard_log",
    "UserError": "errors",
    "evaluate": "evaluation",
    "fit": "fitting",
}


def __getattr__(name: str) -> Any:  # PEP 562: torch takes seconds; the first name that uses it brings it in
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    missing = missing_extra()
    if missing:
        raise ModuleNotFoundError(f"{__name__}.{name}: {missing}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""What mmseg's own test tool is told when it is given a config that no training has saved."""

from typing import Any

from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import MODELS

from benchmarks.suites.dense.late import is_late
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.errors import UserError


@MODELS.register_module()
class SettledSegDataPreProcessor(SegDataPreProcessor):  # type: ignore[misc]
    """mmseg's, of a settled config.

    `tools/test.py` of mmseg 1.2 builds mmengine's own Runner whatever `runner_type` says, so nothing settles a config
    for it; a preprocessor is the first part of a model to be built.
    """

    def __init__(self, mean: Any, std: Any, **options: Any) -> None:
        with told_in_one_sentence("mim test"):
            if is_late(mean):
                raise UserError(
                    "mmseg's test takes the config that training saved, which says what data and heads were chosen: "
                    "work_dirs/NAME/NAME.py; this one says what to choose from."
                )
        super().__init__(mean=mean, std=std, **options)

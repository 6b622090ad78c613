"""What each table of the paper shows: its lines, in order, and the numbers that stand in one cell.

To add a table, describe it here; to add a method to a table, add a `TableRow` (a method that is measured but not
listed here is still shown, below the listed ones, under its own name).
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["method", "oracle", "reference"]
"""`method` competes for the best cell; `oracle` was selected on the test split; `reference` gives up the base task."""

Quantity = Literal["harmonic_mean", "base_top1", "patch_top1"]
"""A number of a cell, in per cent: top-1 on the base task, top-1 on the patch task, harmonic mean of the two."""


TABLE8_LABELS = {
    "learnable_skips": "existing skips, learnable",
    "all_skips_learnable": "all skips, learnable",
    "all_skips_learnable+bn": "all skips, learnable + BN",
    "all_skips": "all skips at 1",
    "all_skips+bn": "all skips at 1 + BN",
    "random": "all skips, random + BN",
}
"""Methods of Table 8 between a new head and Delta-Networks."""

ADAPTED_LABELS = {
    "parallel_adapters": "parallel adapters",
    "series_adapters": "series adapters",
    "batchnorm_adapt": "BatchNormAdapt (DUA + FC)",
    "norm_tuning": "norm tuning (ours)",
    "bitfit": "BitFit (ours)",
    "ssf": "SSF (ours)",
    "lora": "LoRA (ours)",
    "ia3": "IA3 (ours)",
}
"""Methods of Table 1 between PAINT and Delta-Networks; `ours` marks baselines that the paper does not have."""

NAMES = {**TABLE8_LABELS, **ADAPTED_LABELS}
"""What the reader sees."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One line of a table, repeated for every architecture. Names are those of `benchmarks.records.rows.Row`."""

    method: str
    variant: str = ""
    n_delta_modules: int = 0
    role: Role = "method"

    @property
    def label(self) -> str:
        """What the reader sees, e.g. `Delta (4)` or `PAINT lr=0.001+bn, oracle`."""
        match self.method:
            case "fc_only":
                name, variant = "FC-only", self.variant
            case "delta_networks":
                name, variant = f"Delta ({self.n_delta_modules})", "" if self.variant == "default" else self.variant
            case "paint":
                name, variant = "PAINT", self.variant
            case "finetune":
                name, variant = "full fine-tuning", f"({self.variant.replace('=', ' ')})" if self.variant else ""
            case _:
                name, variant = NAMES.get(self.method, self.method), self.variant
                if self.n_delta_modules:
                    name += f" ({self.n_delta_modules})"
        return f"{name} {variant}".rstrip() + (", oracle" if self.role == "oracle" else "")

    def row_id(self, architecture: str) -> str:
        """Key of the line, as the paper's CSVs build it (`resnet18/delta4`), then our variant and role."""
        method = f"delta{self.n_delta_modules}" if self.method == "delta_networks" else self.method
        parts = [architecture, method, self.variant, "oracle" if self.role == "oracle" else ""]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper. Architectures and tasks come from the paper's CSV and from the rows measured."""

    number: int
    title: str
    suite: str
    """Which runs feed it (`Row.suite`)."""
    quantities: tuple[Quantity, ...]
    """Numbers in one cell, left to right."""
    rows: tuple[TableRow, ...]
    rows_if_measured: frozenset[TableRow] = frozenset()
    """Those of `rows` that the paper's table does not have: shown when measured, never asked for."""
    joint: bool = False
    """Whether its tasks are several at once."""
    drawn_tasks: tuple[str, ...] = ()
    """Its tasks at scale embedded; empty = all that were measured."""
    architectures: tuple[str, ...] = ()
    """Its nets, but at scale local; empty = all that were measured."""
    large_architectures: tuple[str, ...] = ()
    """Nets of the paper's table that scale embedded does not have."""

    @property
    def name(self) -> str:
        """File stem, command-line name and nox session."""
        return f"table{self.number}"


PAINT_LRS = ("0.001", "1e-05")
"""Learning rates at which PAINT's full fine-tuning runs."""

FINETUNE_ROW = TableRow(method="finetune", variant="lr=0.0003", role="reference")
"""Full fine-tuning as a run of its own, which scale local offers; elsewhere it is PAINT at alpha = 1."""

DELTA_ROWS = tuple(
    TableRow(method="delta_networks", variant=variant, n_delta_modules=n)
    for n in (1, 2, 4)
    for variant in ("default", "paper")
)

TABLE8_ROWS = (
    TableRow(method="fc_only"),
    *(TableRow(method=method) for method in TABLE8_LABELS),
    *(
        TableRow(method="delta_networks", variant=variant, n_delta_modules=4)
        for reading in ("default", "paper")
        for variant in (reading, f"{reading}, gates at their mean")
    ),
)

PATCHING_ROWS = (
    TableRow(method="fc_only"),
    *(
        TableRow(method="paint", variant=f"lr={lr}{bn}", role=role)
        for lr in PAINT_LRS
        for bn in ("", "+bn")
        for role in ("method", "oracle")
    ),
    *DELTA_ROWS,
    FINETUNE_ROW,
    *(TableRow(method="finetune", variant=f"lr={lr}", role="reference") for lr in PAINT_LRS),
)

ADAPTED_ROWS = (
    *(TableRow(method=name) for name in ADAPTED_LABELS),
    TableRow(method="delta_networks", variant="identity", n_delta_modules=4),
)
"""Adapters and their like, and Delta whose gates start so that the net is nearly the base."""

TABLE1_WEIGHTS = "timm:resnet18.a1_in1k"
"""Table 1 has a base of its own at scale paper."""

DRAWN = ("mnist5k", "optdigits", "shapes", "signs", "textures", "photos")

TABLES: tuple[Table, ...] = (
    Table(
        number=1,
        title="Patching nine tasks: harmonic mean of base and patch top-1 (%)",
        suite="patching",
        quantities=("harmonic_mean",),
        rows=tuple(
            row
            for row in (*PATCHING_ROWS[:9], *ADAPTED_ROWS, *PATCHING_ROWS[9:])
            if not (row.method == "delta_networks" and row.n_delta_modules != 4)
        ),
        rows_if_measured=frozenset([FINETUNE_ROW]),
        drawn_tasks=(*DRAWN, "strokes", "motions", "walkers"),
        architectures=("resnet18",),
    ),
    Table(
        number=2,
        title="Patching one task: harmonic mean of base and patch top-1 (%)",
        suite="patching",
        quantities=("harmonic_mean",),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW]),
        drawn_tasks=DRAWN,
    ),
    Table(
        number=3,
        title="Patching three tasks at once: harmonic mean of base top-1 and top-1 on all test images together (%)",
        suite="patching",
        quantities=("harmonic_mean",),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW, *(row for row in DELTA_ROWS if row.variant == "paper")]),
        joint=True,
    ),
    Table(
        number=10,
        title="Patching one task: base top-1 / patch top-1 (%) with the patch in place, the pairs behind Table 2",
        suite="patching",
        quantities=("base_top1", "patch_top1"),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW, *(row for row in DELTA_ROWS if row.n_delta_modules > 1)]),
        drawn_tasks=DRAWN,
        large_architectures=("resnet101", "convnext_small", "convnext_base", "convnext_large"),
    ),
    Table(
        number=8,
        title="What to do with the skips of a frozen net: patch top-1 / harmonic mean of base and patch top-1 (%)",
        suite="table8",
        quantities=("patch_top1", "harmonic_mean"),
        rows=TABLE8_ROWS,
        drawn_tasks=("signs", "photos"),
    ),
)

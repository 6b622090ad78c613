"""What each table of the paper shows: its lines, in order, and the numbers that stand in one cell.

To add a table, describe it here. Methods, their labels and their order are those of `benchmarks.methods.listing`; one
that is measured but stands in no line here is still shown, below the others.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.methods.listing import DELTA, FC_ONLY, FINETUNE, JOINING, LABELS, PAINT, READING_LABELS, SKIPS, Role
from benchmarks.records.names import (
    DECATHLON_TASKS,
    FRESH_NORM,
    GATES_ALONE,
    LITERAL,
    MAPS,
    MEAN_GATES,
    PATCH_TASKS,
    PATCHING,
    TABLE1_ARCHITECTURES,
    TABLE2_ARCHITECTURES,
    TABLE8,
    TABLE8_TASKS,
    TABLE10_MORE_ARCHITECTURES,
    WITH_BATCH_NORM,
)

Quantity = Literal["harmonic_mean", "base_top1", "patch_top1"]
"""A number of a cell, in per cent: top-1 on the base task, top-1 on the patch task, harmonic mean of the two. Where the
base has no labels the first is agreement, and tidy frames call it and the mean by names of their own."""


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
        name, variant = LABELS.get(self.method, self.method), self.variant
        if self.n_delta_modules:
            name += f" ({self.n_delta_modules})"
        if self.method == DELTA.name:
            reading, _, control = variant.partition(",")
            reading = READING_LABELS.get(reading, reading)
            variant = f"{reading},{control}" if control else reading
        if variant == FRESH_NORM:
            variant = ", fresh"
        if self.method == FINETUNE.name and variant:
            variant = f"({variant.replace('=', ' ')})"
        return f"{name} {variant}".rstrip().replace(" ,", ",") + (", oracle" if self.role == "oracle" else "")

    def row_id(self, architecture: str) -> str:
        """Key of the line, as the paper's CSVs build it (`resnet18/delta4`), then our variant and role."""
        method = f"delta{self.n_delta_modules}" if self.method == DELTA.name else self.method
        parts = [architecture, method, self.variant, "oracle" if self.role == "oracle" else ""]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of the paper. Architectures and tasks come from the paper's CSV and from the rows measured."""

    number: int
    title: str
    """With `{base}` for what was measured on the base task."""
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

FINETUNE_ROW = TableRow(method=FINETUNE.name, variant="lr=0.0003", role=FINETUNE.role)
"""Full fine-tuning as a run of its own, which scale local offers; elsewhere it is PAINT at alpha = 1."""

DELTA_ROWS = tuple(
    TableRow(method=DELTA.name, variant=variant, n_delta_modules=n)
    for n in (1, 2, 4)
    for variant in (LITERAL, MAPS, GATES_ALONE)
)

TABLE8_ROWS = (
    TableRow(method=FC_ONLY.name),
    *(
        TableRow(method=each.name, variant=variant)
        for each in SKIPS
        for variant in (("", FRESH_NORM) if each.has_norm else ("",))
    ),
    *(
        TableRow(method=DELTA.name, variant=variant, n_delta_modules=4)
        for reading in (LITERAL, MAPS, GATES_ALONE)
        for variant in (reading, reading + MEAN_GATES)
    ),
)

BEFORE = frozenset(row for row in DELTA_ROWS if row.variant == GATES_ALONE)
"""What was the default before there were maps on skips."""

PATCHING_ROWS = (
    TableRow(method=FC_ONLY.name),
    *(
        TableRow(method=PAINT.name, variant=f"lr={lr}{bn}", role=role)
        for lr in PAINT_LRS
        for bn in ("", WITH_BATCH_NORM)
        for role in ("method", "oracle")
    ),
    *DELTA_ROWS,
    FINETUNE_ROW,
    *(TableRow(method=FINETUNE.name, variant=f"lr={lr}", role=FINETUNE.role) for lr in PAINT_LRS),
)

ADAPTED_ROWS = (
    *(TableRow(method=each.name, role=each.role) for each in JOINING),
    TableRow(method=DELTA.name, variant="identity", n_delta_modules=4),
)
"""Adapters and their like, and Delta whose gates start so that the net is nearly the base."""

TABLES: tuple[PaperTable, ...] = (
    PaperTable(
        number=1,
        title="Patching nine tasks: harmonic mean of {base} and patch top-1 (%)",
        suite=PATCHING,
        quantities=("harmonic_mean",),
        rows=tuple(
            row
            for row in (*PATCHING_ROWS[:9], *ADAPTED_ROWS, *PATCHING_ROWS[9:])
            if not (row.method == DELTA.name and row.n_delta_modules != 4)
        ),
        rows_if_measured=frozenset([FINETUNE_ROW]) | BEFORE,
        drawn_tasks=DECATHLON_TASKS,
        architectures=TABLE1_ARCHITECTURES,
    ),
    PaperTable(
        number=2,
        title="Patching one task: harmonic mean of {base} and patch top-1 (%)",
        suite=PATCHING,
        quantities=("harmonic_mean",),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW]) | BEFORE,
        drawn_tasks=PATCH_TASKS,
        architectures=TABLE2_ARCHITECTURES,
    ),
    PaperTable(
        number=3,
        title="Patching three tasks at once: harmonic mean of {base} and top-1 on all test images together (%)",
        suite=PATCHING,
        quantities=("harmonic_mean",),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW]) | BEFORE,
        joint=True,
    ),
    PaperTable(
        number=10,
        title="Patching one task: {base} / patch top-1 (%) with the patch in place, the pairs behind Table 2",
        suite=PATCHING,
        quantities=("base_top1", "patch_top1"),
        rows=PATCHING_ROWS,
        rows_if_measured=frozenset([FINETUNE_ROW, *(row for row in DELTA_ROWS if row.n_delta_modules > 1)]) | BEFORE,
        drawn_tasks=PATCH_TASKS,
        large_architectures=TABLE10_MORE_ARCHITECTURES,
    ),
    PaperTable(
        number=8,
        title="What to do with the skips of a frozen net: patch top-1 / harmonic mean of {base} and patch top-1 (%)",
        suite=TABLE8,
        quantities=("patch_top1", "harmonic_mean"),
        rows=TABLE8_ROWS,
        drawn_tasks=TABLE8_TASKS,
    ),
)

"""Identity of runs: what changes an id and what must not."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import basic_block_net, tiny_task
from tiny_cell import tiny_cell

from benchmarks.env import Env
from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.paint import Paint
from benchmarks.suites import opened
from benchmarks.suites.patching import runner as patching
from benchmarks.suites.patching import table as patching_tables
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core import DeltaConfig
from delta_core.training.identity import NEW_SINCE_RECORDED, canonical_json, content_id, derive_seed, plain
from delta_core.training.recipe import Recipe

recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 100),
    lr=st.floats(1e-6, 1),
    head_lr=st.floats(1e-6, 1),
    batch_size=st.integers(1, 512),
    views=st.integers(0, 5),
    feature_dtype=st.sampled_from(["float32", "bfloat16", "float16", "uint8"]),
)
configs = st.builds(
    DeltaConfig,
    n_modules=st.integers(1, 4),
    gating=st.sampled_from(["delta", "ones", "random"]),
    gate_range=st.just("unit"),
)
methods = st.one_of(
    st.builds(FcOnly, recipe=recipes),
    st.builds(Paint, recipe=recipes),
    st.builds(FineTune, recipe=recipes),
    st.builds(DeltaNetworks, recipe=recipes, config=configs, reading=st.sampled_from(["default", "paper"])),
)
names = st.text("abcdef019:-", min_size=1, max_size=12)
specs = st.builds(
    RunSpec,
    scale=st.sampled_from(["embedded", "local", "paper"]),
    architecture=names,
    weights=names,
    task=names,
    data=names,
    base_task=names,
    base_data=names,
    method=methods,
    image_size=st.integers(1, 512),
    seed=st.integers(0, 9),
    base_transform=st.sampled_from([None, "own-bilinear"]),
)
OTHER = {
    "scale": ("embedded", "paper"),
    "base_transform": (None, "own-bicubic"),
    "feature_dtype": ("float32", "bfloat16"),
    "steps_per_epoch": (None, 10),
    "milestones": ((), (0.5,)),
    "gating": ("delta", "learnable"),
    "gate_start": ("half", "identity"),
    "norm_place": ("output", "none"),
    "norm_start": ("fresh", "identity"),
    "module_input": ("full", "pool7"),
    "skips": ("all", "new"),
    "gate_per": ("skip", "channel"),
    "gate_range": ("unit", "around_base"),
    "skip_map": ("identity", "low_rank"),
    "skip_map_per": ("node", "skip"),
    "module_kernel": (1, 3),
    "module_reads": ("block", "image"),
    "gate_lr": (None, 0.5),
    "map_lr": (None, 0.5),
    "norm_lr": (None, 0.5),
    "micro_batch": (None, 4),
    "reading": ("default", "paper"),
}


def copy_of(value: Any) -> Any:
    """Equal, but built anew all the way down."""
    if not is_dataclass(value):
        return value
    return type(value)(**{field.name: copy_of(getattr(value, field.name)) for field in fields(value)})


def single_changes(value: Any) -> Iterator[Any]:
    """The same dataclass with exactly one field, at any depth, of another value."""
    for field in fields(value):
        old = getattr(value, field.name)
        if is_dataclass(old):
            yield from (replace(value, **{field.name: changed}) for changed in single_changes(old))
        elif field.name in OTHER:
            yield replace(value, **{field.name: next(new for new in OTHER[field.name] if new != old)})
        else:
            yield replace(value, **{field.name: old + "x" if isinstance(old, str) else old + 1})


def runs(table: str, folder: Path, **options: Any) -> list[RunSpec]:
    chosen = Options(table=table, results=folder / "results", cache=folder / "cache", **options)
    return runs_of(chosen, open_world(chosen, table_of(table).tasks))


@given(specs)
def test_equal_specs_have_equal_ids(spec: RunSpec) -> None:
    twin = copy_of(spec)
    assert twin is not spec
    assert twin.run_id == spec.run_id
    assert len(spec.run_id) == 12
    assert int(spec.run_id, 16) >= 0


@settings(max_examples=30, deadline=None)
@given(specs)
def test_changing_any_single_field_changes_the_id(spec: RunSpec) -> None:
    changed = list(single_changes(spec))
    assert len(changed) >= 9 + 8
    assert len({spec.run_id, *(other.run_id for other in changed)}) == len(changed) + 1


def test_methods_with_the_same_fields_are_different_runs() -> None:
    recipe = Recipe(epochs=1, lr=0.1, head_lr=0.1)
    assert len({content_id(kind(recipe=recipe)) for kind in (FcOnly, Paint, FineTune)}) == 3


def test_machine_and_places_do_not_enter(tmp_path: Path) -> None:
    here = runs("table2", tmp_path / "here", device="cpu", workers=1, precision="32-true", cache_gb=0)
    there = runs("table2", tmp_path / "there", device="cuda:1", workers=7, precision="bf16-mixed", loader_workers=3)
    assert [run.run_id for run in here] == [run.run_id for run in there]
    assert not {field.name for field in fields(Env)} & {field.name for field in fields(RunSpec)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "px=32,views=1,epochs=6"),
        ({"views": 0}, "px=32,views=fresh,epochs=6"),
        ({"views": 8, "epochs": 3}, "px=32,views=8,epochs=3"),
        ({"feature_dtype": "bfloat16"}, "px=32,views=1,epochs=6,features=bfloat16"),
        ({"micro_batch": 16}, "px=32,views=1,epochs=6,micro=16"),
        ({"scale": "paper"}, "px=224,views=fresh,epochs=50"),
        ({"scale": "paper", "views": 1, "feature_dtype": "float16"}, "px=224,views=1,epochs=50,features=float16"),
    ],
)
def test_protocol_names_views_and_rounding(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """The same for all methods of a table, or their rows could not stand side by side."""
    assert {run.protocol for run in runs("table10", tmp_path, **options)} == {expected}


def test_json_does_not_depend_on_the_order_of_fields() -> None:
    forward, backward = (make_dataclass("Spec", order) for order in (["a", "b"], ["b", "a"]))
    assert canonical_json(forward(a=1, b=2)) == canonical_json(backward(a=1, b=2))
    assert canonical_json(forward(a=1, b=2)) == '{"a":1,"b":2,"type":"Spec"}'


def test_a_renamed_class_and_a_new_field_at_its_default_keep_the_identity() -> None:
    @dataclass(frozen=True)
    class Old:
        a: int

    @dataclass(frozen=True)
    class New:
        recorded_as: ClassVar[str] = "Old"
        a: int
        b: int = dataclasses.field(default=3, metadata=NEW_SINCE_RECORDED)

    @dataclass(frozen=True)
    class Derived(New):
        pass

    assert content_id(New(a=1)) == content_id(Old(a=1))
    assert content_id(New(a=1, b=4)) != content_id(Old(a=1))
    assert content_id(Derived(a=1)) != content_id(New(a=1)), "a name is kept by the class that had it, not by its heirs"


@pytest.mark.parametrize(
    ("unfit", "kind"),
    [(("a", Path("b")), type(Path()).__name__), ({"b": 1}, "dict"), ([1], "list"), ((1, ({"b": 1},)), "dict")],
)
@pytest.mark.parametrize("identify", [content_id, plain])
def test_what_is_no_science_is_refused(identify: Callable[[Any], object], unfit: object, kind: str) -> None:
    @dataclass(frozen=True)
    class Spec:
        held: object

    assert identify(Spec(("a", 1)))
    with pytest.raises(TypeError, match=rf"^{kind} has no place in a run's identity\.$"):
        identify(Spec(unfit))
    with pytest.raises(TypeError, match=rf"^{kind} has no place in a run's identity\.$"):
        identify(unfit)


@pytest.mark.parametrize("table", ["table2", "table5", "table8", "table13", "adapters_search"])
def test_canonical_json_is_that_of_plain_dictionaries(table: str, tmp_path: Path) -> None:
    for run in runs(table, tmp_path):
        assert canonical_json(run) == json.dumps(plain(run), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("seeds", [1, 3])
def test_runs_of_table2_are_all_different(seeds: int, tmp_path: Path) -> None:
    listed = runs("table2", tmp_path, seeds=seeds)
    assert len(listed) == 4 * 6 * 9 * seeds
    assert max(Counter(run.run_id for run in listed).values()) == 1


@pytest.mark.parametrize("method", [(), ("fc_only", "lora")], ids=["all methods", "a method that joins"])
@pytest.mark.parametrize("count", [1, 3, 7, 500])
def test_shares_of_a_table_are_all_of_it_and_nothing_twice(method: tuple[str, ...], count: int, tmp_path: Path) -> None:
    every = Counter(run.run_id for run in runs("table2", tmp_path, method=method))
    shares = [
        [run.run_id for run in runs("table2", tmp_path, method=method, shard=f"{place}/{count}")]
        for place in range(1, count + 1)
    ]
    assert Counter(run_id for share in shares for run_id in share) == every
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_table10_is_made_of_the_runs_of_table2(tmp_path: Path) -> None:
    table2, table10 = ({run.run_id for run in runs(table, tmp_path)} for table in ("table2", "table10"))
    assert table2 == table10


def test_table10_adds_architectures_at_paper_scale(tmp_path: Path) -> None:
    table2, table10 = ({run.run_id: run for run in runs(t, tmp_path, scale="paper")} for t in ("table2", "table10"))
    assert set(table2) < set(table10)
    assert len({run.architecture for run in table2.values()}) == 4
    assert len({run.architecture for run in table10.values()}) == 8
    more = [run for name, run in table10.items() if name not in table2]
    assert {run.method.n_delta_modules for run in more} == {0, 1}


def test_filters_select_runs_and_keep_their_ids(tmp_path: Path) -> None:
    every = {run.run_id for run in runs("table2", tmp_path)}
    some = runs("table2", tmp_path, arch=("resnet18",), task=("signs",), method=("paint", "fc_only"))
    assert [run.method.name for run in some] == ["fc_only", "paint", "paint"]
    assert {run.run_id for run in some} < every


def test_one_arm_of_a_method_can_be_selected(tmp_path: Path) -> None:
    cell = {"arch": ("resnet18",), "task": ("signs",)}
    some = runs("table2", tmp_path, method=("delta_networks:paper", "paint:lr=1e-05"), **cell)
    assert [(run.method.name, run.method.variant) for run in some] == [("paint", "lr=1e-05")] + 3 * [
        ("delta_networks", "paper")
    ]


def test_the_arm_without_a_word_of_its_own_can_be_selected(tmp_path: Path) -> None:
    def arms(name: str) -> set[str]:
        return {run.method.variant for run in runs("table5", tmp_path, method=(name,))}

    assert len(arms("delta_networks")) > 1
    assert arms("delta_networks:plain") == {""}


@dataclass(frozen=True, kw_only=True)
class Newcomer(FcOnly):
    name = "newcomer"


def test_another_method_in_the_table_shifts_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [run.run_id for run in runs("table2", tmp_path)]
    original = patching_tables.references

    def with_newcomer(*arguments: Any) -> list[Method]:
        return [Newcomer(recipe=Recipe(epochs=1, lr=1, head_lr=1)), *original(*arguments)]

    monkeypatch.setattr(patching_tables, "references", with_newcomer)
    after = runs("table2", tmp_path)
    assert [run.run_id for run in after if run.method.name != "newcomer"] == before
    assert len(after) == len(before) + 24


# --- seeds -------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=5))
def test_seeds_are_31_bit(ingredients: list[int | str]) -> None:
    assert 0 <= derive_seed(*ingredients) < 2**31


def test_seeds_are_the_same_in_every_process() -> None:
    assert derive_seed("order", "signs", 0) == 724677849
    assert len({derive_seed("order", "signs", n) for n in range(1000)}) == 1000
    assert derive_seed("a", "b") != derive_seed("ab")


def test_order_is_shared_by_methods_and_start_is_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[Cell] = []

    def remember(_: Method, cell: Cell) -> Outcome:
        cells.append(cell)
        return Outcome(
            measurements=(), params_delta=0, params_head=0, steps=0, train_s=0,
            backbone_sha_after="", base_logits_equal=None,
        )  # fmt: skip

    for kind in (FcOnly, Paint, FineTune, DeltaNetworks):
        monkeypatch.setattr(kind, "measure", remember)
    monkeypatch.setattr(opened, "open_backbone", lambda *_: basic_block_net())
    monkeypatch.setattr(patching, "load_task", lambda *_, **__: tiny_task())
    monkeypatch.setattr(opened, "load_base_task", lambda *_, **__: tiny_cell().base)
    env = Env(results=tmp_path, cache=tmp_path)
    for run in runs("table2", tmp_path, arch=("resnet18",), task=("signs",), seeds=2):
        assert patching.execute(run, env) == []
    assert len(cells) == 18
    assert len({cell.order_seed for cell in cells}) == 2, "one order per seed, whatever the method"
    assert len({cell.init_seed for cell in cells}) == 18


# --- studies -----------------------------------------------------------------------------------------------------


def test_study_of_defaults_has_every_arm_once_and_shares_no_run_with_a_table(tmp_path: Path) -> None:
    listed = runs("study_defaults", tmp_path, arch=("resnet18",), task=("signs",), seeds=2)
    assert len({run.run_id for run in listed}) == len(listed) == 2 * 23
    assert [run.seed for run in listed] == [0] * 23 + [1] * 23
    assert not {run.run_id for run in listed} & {run.run_id for run in runs("table2", tmp_path, seeds=2)}
    deltas = [run.method for run in listed if run.seed == 0 and run.method.name == "delta_networks"]
    arms = {method.variant: replace(method, reading="") for method in deltas}
    assert len(set(arms.values())) == len(arms) == 22
    assert arms["gates half, fresh BN"].config == DeltaConfig.paper(n_modules=2)
    assert DeltaConfig.gates_alone(n_modules=2) in {arm.config for arm in arms.values()}

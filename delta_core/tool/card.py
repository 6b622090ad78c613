"""The model card of a patch folder: what it is, what it was measured to do, and how to use it."""

import json
import re
import shlex
from collections.abc import Collection
from pathlib import Path

import timm
from huggingface_hub import EvalResult, ModelCardData
from timm.models import PretrainedCfg

from delta_core import DeltaConfig, PatchFile, read_patch
from delta_core.tool import confusion, curve
from delta_core.tool.record import TrainingRecord
from delta_core.weights import FILE

NAME = "README.md"

WORST = 10
"""Classes that the card lists by name; the picture shows all."""


def write_card(folder: Path, record: TrainingRecord) -> None:
    """Write `README.md` into a patch folder: metadata as the Hub reads it, then text."""
    drawn = {path.name for path in folder.iterdir()}
    (folder / NAME).write_text(_card(read_patch(folder), record, drawn), encoding="utf-8")


def _card(file: PatchFile, record: TrainingRecord, drawn: Collection[str]) -> str:
    percent = 100 * record.test_right / record.test_images
    recipe = record.recipe
    weights = file.weights.removeprefix(FILE)
    flag = f" --weights {shlex.quote(weights)}" if file.weights.startswith(FILE) else ""
    folder = shlex.quote(file.name)
    origin = record.origin
    state = " with uncommitted changes" if origin["git_dirty"] else ""
    commit = f" at commit {origin['git_sha']}{state}" if origin["git_sha"] else ""
    worst = "\n".join(
        f"| {_escaped(name)} | {100 * right / images:.1f} | {right} of {images} |"
        for name, right, images in record.by_class[:WORST]
    )
    return f"""---
{_metadata(file, record)}
---

# {file.name}

A patch that makes a frozen `{file.architecture}` tell {file.num_classes} classes apart. It adds {_what(file.config)}
and changes nothing in the net itself: with the patch off the net answers as before, bit for bit.

**{percent:.2f} % of {record.test_images} images right** ({record.test_right}), after epoch {record.kept_epoch}.

| | |
|---|---|
| base | `{file.architecture}`, weights `{_coded(file.weights)}` |
| base fingerprint | `{file.fingerprint}` (SHA-256) |
| input | {file.preprocessing} |
| size | {file.size_bytes:,} bytes, {_without_head(file):,} of them tensors other than the head |
| data | `{_coded(record.data)}`, `{record.data_sha}` (hash of file names and sizes) |
| images | {record.train_images} to train on, {record.test_images} to measure on |

{_escaped(record.splits)}

## Accuracy by class

| class | right in % | images |
|---|---|---|
{worst}

The {min(WORST, len(record.by_class))} worst of {len(record.by_class)} classes. Which class is taken for which:

{_picture("Confusion matrix", confusion.NAME, drawn)}

## Use it

```
delta-patch predict {folder} photo.jpg{flag}
delta-patch eval {folder} FOLDER{flag}
```

```python
import torch
from delta_core import create_model, load_patch, resolve_transform
from PIL import Image

{_base(file, weights)}
patch = model.patches[load_patch(model, {_quoted(file.name)})]  # this folder
image = resolve_transform(model, training=False)(Image.open("photo.jpg"))
with torch.no_grad():
    probabilities = model(image[None]).softmax(1)[0]
print(patch.class_names[probabilities.argmax()], probabilities.max().item())
```

## How it was trained

{record.epochs_run} epochs ({record.steps} steps of {recipe.batch_size} images) in {record.train_s:.0f} s on
{origin["device"]}, {origin["precision"]}. AdamW with a peak learning rate of {recipe.lr:g} (head {recipe.head_lr:g}),
weight decay {recipe.weight_decay:g}, gradients clipped at {recipe.clip_norm:g}, seed {record.seed}. {_how(record)}
Validation top-1: {record.val_top1:.2f} %.{_trials(record)}

{_picture("Loss and validation accuracy by epoch", curve.NAME, drawn)}

## The base stayed frozen

- Fingerprint before training `{record.fingerprint_before}`
- Fingerprint after training `{record.fingerprint_after}`
- Logits of the base net on the {record.test_images} test images before and after: bit-identical

## Licence

The patch is of use only together with its base: the licence of the base weights applies to those{_base_licence(file)},
and the terms of the images may reach what was learned from them. Both are for you to check; nothing here grants them,
and so the metadata above say `other`.

Made with delta-patching {file.library_version}{commit}
on {origin["measured_at"]}; {_versions(origin["versions"])}. Run `{record.run_id}`.
"""


def _metadata(file: PatchFile, record: TrainingRecord) -> str:
    """YAML of the Hub. Only weights that lie on it can be named as base."""
    base = _timm_weights(file)
    right = EvalResult(
        task_type="image-classification",
        dataset_type="imagefolder",
        dataset_name=record.data,
        dataset_split="test",
        metric_type="accuracy",
        metric_name="Top-1 accuracy",
        metric_value=round(record.test_right / record.test_images, 4),
    )
    data = ModelCardData(
        base_model=None if base is None else base.hf_hub_id,
        base_model_relation=None if base is None else "adapter",
        eval_results=[right],
        library_name="delta-patching",
        license="other",
        license_name="that-of-base-and-images",
        metrics=["accuracy"],
        model_name=file.name,
        pipeline_tag="image-classification",
        tags=["delta-patching", "frozen-backbone", "transfer-learning"],
    )
    return data.to_yaml().strip()


def _timm_weights(file: PatchFile) -> PretrainedCfg | None:
    """What timm says of the base weights, where they are its own."""
    source, _, tag = file.weights.partition(":")
    name = tag if tag.partition(".")[0] == file.architecture else f"{file.architecture}.{tag}"
    return timm.get_pretrained_cfg(name) if source == "timm" and timm.is_model_pretrained(name) else None


def _base_licence(file: PatchFile) -> str:
    base = _timm_weights(file)
    return f" (timm says `{base.license}`)" if base is not None and base.license else ""


def _base(file: PatchFile, weights: str) -> str:
    """Python that makes the base of the patch."""
    made = f"model = create_model({_quoted(file.architecture)}, weights={_quoted(weights)}).eval()"
    if weights == "none":
        return f"torch.manual_seed(0)  # of the random weights that the patch was trained on\n{made}"
    if file.weights.startswith(FILE):
        return f"{made}  # where this file lies"
    return made


def _quoted(text: str) -> str:
    """A literal of Python."""
    return json.dumps(text, ensure_ascii=False)


def _what(config: DeltaConfig | None) -> str:
    if config is None:
        return "a new head"
    modules = "one Delta-module" if config.n_modules == 1 else f"{config.n_modules} Delta-modules"
    return f"{modules} on the last blocks, a BatchNorm for each, and a new head"


def _how(record: TrainingRecord) -> str:
    """Views, rounding, class weights and which epoch was kept, in whole sentences."""
    views = record.recipe.views
    seen = {0: "A fresh random crop of each image in every epoch.", 1: "One fixed view of each image."}
    dtype = record.recipe.feature_dtype
    rounded = "" if dtype == "float32" else f" What the frozen part puts out was rounded to {dtype}."
    weighted = " Classes weigh in the loss as if they had equally many images." if record.class_weights else ""
    kept = f"The last epoch is the one kept, of {record.recipe.epochs}."
    if record.patience is not None:
        kept = (
            f"Epoch {record.kept_epoch}, the best on the validation images, is the one kept; training was to end after "
            f"{record.recipe.epochs} epochs, or {record.patience} without a better one."
        )
    return f"{seen.get(views, f'{views} fixed random crops of each image.')}{rounded}{weighted} {kept}"


def _trials(record: TrainingRecord) -> str:
    """What the number of modules was chosen from, as a table, if it was."""
    if not record.trials:
        return ""
    lines = "\n".join(
        f"| {each.modules} | {each.loss:.3f} | {each.top1:.1f} | {each.train_s:.0f} |" for each in record.trials
    )
    return f"""

The number of modules was chosen by the loss on {record.trials[0].images} training images that these trials, half as
long, did not see. More of them are taken where their loss is less by more than its standard error.

| modules | loss | right in % | seconds |
|---|---|---|---|
{lines}"""


def _without_head(file: PatchFile) -> int:
    return sum(size for name, size in file.tensor_bytes.items() if not name.startswith("head."))


def _picture(title: str, name: str, drawn: Collection[str]) -> str:
    return f"![{title}]({name})" if name in drawn else f"{title}: not drawn."


def _escaped(text: str) -> str:
    r"""Text that Markdown and HTML show as it is, also in a table.

    >>> print(_escaped("<b> $x$ [a](b) | *c*"))
    \<b\> \$x\$ \[a\](b) \| \*c\*
    """
    return re.sub(r"([\\`*_{}\[\]<>#+!|$&~@:])", r"\\\1", text)


def _coded(text: str) -> str:
    """Text that cannot break out of code in a table cell."""
    return text.replace("|", "\\|").replace("`", "'")


def _versions(versions: str) -> str:
    return versions.strip("{}").replace('"', "").replace(": ", " ")

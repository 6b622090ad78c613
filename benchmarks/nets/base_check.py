"""Whether the base reaches the ImageNet accuracy that the paper's numbers stand on; measured once, kept as a proof.

Another set of weights under the same name shifts every harmonic mean (timm 0.8 changed `resnet18` by 2 points), and
nothing in a table would show it. A base that is off is measured in the other transforms too, and a user may accept one.
"""

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from torch import nn

from benchmarks.data.catalogue.look_alikes import declared_top1
from benchmarks.data.load import load_base_task
from benchmarks.env import Env
from benchmarks.nets.base_transforms import (
    BASE_TRANSFORMS,
    PAPER_TRANSFORM,
    BaseTransform,
    own_transform,
    prepared,
)
from delta_core import backbone_fingerprint
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.errors import UserError
from delta_core.training.lock import locked
from delta_core.training.whole_files import whole_text
from delta_core.weights import Preprocessing, preprocessing_of

TOLERANCE = 0.3
"""Per cent; decoders and resizing kernels differ by about a tenth."""

PRINTED_TOP1 = {
    "timm:resnet18.tv_in1k": 68.87,
    "timm:resnet34.bt_in1k": 74.66,
    "timm:resnet50.a1_in1k": 80.15,
    "timm:resnet101.a1h_in1k": 81.87,
    "timm:convnext_tiny.fb_in1k": 82.47,
    "timm:convnext_small.fb_in1k": 83.30,
    "timm:convnext_base.fb_in1k": 84.15,
    "timm:convnext_large.fb_in1k": 84.52,
}
"""Weights -> ImageNet top-1 that Table 10 prints (whole short side, bicubic)."""

TIMM_TOP1 = {
    "timm:resnet18.a1_in1k": 71.49,  # Table 1; its harmonic means need a base of at least 71.25
    "timm:resnet50.tv_in1k": 76.13,  # Table 5
    "timm:resnext50_32x4d.a1h_in1k": 81.10,  # Table 8
    "timm:wide_resnet50_2.racm_in1k": 81.45,  # Table 8
}
"""Weights whose top-1 no table prints -> that of timm's model cards, 224 pixels, in the weights' own preprocessing."""

BASE_TOP1 = PRINTED_TOP1 | TIMM_TOP1
"""The paper's twelve bases."""


@dataclass(frozen=True, kw_only=True)
class BaseProof:
    """What was measured of one base on one set of images."""

    weights: str
    fingerprint: str
    """SHA-256 of the state dict."""
    data_sha: str
    n_examples: int
    expected: float
    """Pinned accuracy in per cent."""
    expected_in: BaseTransform
    """Transform that it was pinned in."""
    top1: dict[BaseTransform, float] = field(default_factory=dict)
    """Transform -> accuracy in per cent."""

    @property
    def fits(self) -> list[BaseTransform]:
        """Measured transforms in which the base reaches what is pinned."""
        return [transform for transform, top1 in self.top1.items() if abs(top1 - self.expected) <= TOLERANCE]


def proof_path(results: Path, weights: str, fingerprint: str, data_sha: str) -> Path:
    """Where the proof of a base lies below the results folder of its scale: other bytes or images have another."""
    return results / "bases" / f"{weights.replace(':', '-')}-{fingerprint[:8]}-{data_sha[:8]}.json"


def prove_base(
    weights: str, env: Env, backbone: nn.Module, base: TaskData, accepted: BaseTransform | None = None
) -> None:
    """Measure an untouched base at scale paper on all images of the base task, once for the same bytes and images.

    Args:
        weights: as a run names them, one of `BASE_TOP1`.
        env: where the images and the proof lie.
        backbone: the net, on the device.
        base: the base task as runs see it.
        accepted: transform in which the user takes the base as it is, whatever it reaches.

    Raises:
        UserError: if the base is more than TOLERANCE off in the transform that its accuracy was pinned in, and none was
            accepted. It says what the base reaches in every transform; the proof keeps that, so later runs know.
    """
    own = preprocessing_of(backbone)
    pinned = own_transform(own) if weights in TIMM_TOP1 else PAPER_TRANSFORM
    declared = declared_top1(env.weights_root, weights)
    fingerprint = backbone_fingerprint(backbone)
    path = proof_path(env.results, weights, fingerprint, base.sha)
    with locked(path.with_suffix(".lock"), waiting_for=f"the check of {weights}"):
        proof = BaseProof(
            weights=weights,
            fingerprint=fingerprint,
            data_sha=base.sha,
            n_examples=len(base.val.labels) + len(base.test.labels),
            expected=BASE_TOP1[weights] if declared is None else declared,
            expected_in=pinned,
        )
        proof = replace(proof, top1=_kept(path, proof))
        for transform in (accepted or pinned, *BASE_TRANSFORMS):
            if transform not in proof.top1:
                value = _same_of(proof, transform, own)
                if value is None:
                    value = _top1_of(backbone, _prepared_as(prepared(own, transform), base, env, backbone))
                proof = replace(proof, top1=proof.top1 | {transform: value})
                with whole_text(path) as stream:
                    json.dump(asdict(proof) | {"sha256": _digest(proof)}, stream, indent=1)
            if accepted or pinned in proof.fits:
                return
    raise UserError(_refusal(proof, {transform: str(prepared(own, transform)) for transform in proof.top1}))


def _kept(path: Path, proof: BaseProof) -> dict[BaseTransform, float]:
    """What was measured of this base before; nothing where that is damaged, as a warning says."""
    if not path.exists():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        top1: dict[BaseTransform, float] = said["top1"]
        of_old_version = said.keys() == asdict(proof).keys()
        if of_old_version or said["sha256"] == _digest(replace(proof, top1=top1)):
            return top1
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    warnings.warn(f"Proof {str(path)!r} is damaged; the base is measured again.", stacklevel=2)
    return {}


def _digest(proof: BaseProof) -> str:
    """SHA-256 of what was measured, and of which bytes on which images; what is expected may be said anew."""
    measured = (proof.weights, proof.fingerprint, proof.data_sha, proof.n_examples, sorted(proof.top1.items()))
    return hashlib.sha256(json.dumps(measured).encode()).hexdigest()


def _same_of(proof: BaseProof, transform: BaseTransform, own: Preprocessing) -> float | None:
    """What is known of another transform that does the same, as where the crop of the weights is 1."""
    like = prepared(own, transform)
    return next((top1 for known, top1 in proof.top1.items() if prepared(own, known) == like), None)


def _prepared_as(preprocessing: Preprocessing, base: TaskData, env: Env, backbone: nn.Module) -> TaskData:
    """The base task in another preprocessing; its images are read once, so they are not kept."""
    if base.test.preprocessing == preprocessing:
        return base
    classes: int = backbone.num_classes  # type: ignore[assignment]
    return load_base_task(base.name, replace(env, cache_gb=0), preprocessing, classes=classes)


def _top1_of(backbone: nn.Module, base: TaskData) -> float:
    """Accuracy in per cent on held-out and reported images together: published numbers are of all of them."""
    device = next(backbone.parameters()).device
    splits = (base.val, base.test)
    right = sum(
        top1(predict(backbone, eval_batches(split, device)), split.labels) * len(split.labels) for split in splits
    )
    return right / sum(len(split.labels) for split in splits)


def _refusal(proof: BaseProof, named: dict[BaseTransform, str]) -> str:
    """One sentence: what was measured, how, what was expected, and the ways out."""
    own = proof.expected_in
    others = [
        f"{transform} {top1:.2f}{' (fits)' if transform in proof.fits else ''}"
        for transform, top1 in proof.top1.items()
        if transform != own
    ]
    nearest = min(proof.top1, key=lambda transform: abs(proof.top1[transform] - proof.expected))
    return (
        f"Base {proof.weights} reaches {proof.top1[own]:.2f} % on ImageNet ({proof.n_examples:,} images, {own}: "
        f"{named[own]}), expected {proof.expected:.2f} +- {TOLERANCE}; in other transforms {', '.join(others)}. "
        "Compare the images (python -m benchmarks fetch imagenet_val --check) and the weights in the cache of the "
        "Hugging Face Hub, or accept a transform for the base, which every row then says: --accept-base "
        f"{proof.weights.removeprefix('timm:')}={nearest}"
    )

"""Whether the base reaches the ImageNet accuracy that the paper's numbers stand on; measured once, kept as a proof.

Another set of weights under the same name shifts every harmonic mean (timm 0.8 changed `resnet18` by 2 points), and
nothing in a table would show it.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from torch import nn

from benchmarks.data.catalogue.look_alikes import declared_top1
from benchmarks.data.load import load_base_task
from benchmarks.env import Env
from benchmarks.records.files import atomic_text
from delta_core import backbone_fingerprint
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.errors import UserError
from delta_core.weights import preprocessing_of

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
    """What was measured of one base."""

    weights: str
    fingerprint: str
    """SHA-256 of the state dict."""
    data_sha: str
    top1: float
    expected: float
    n_examples: int
    transform: str
    measured_at: str


def proof_path(results: Path, weights: str) -> Path:
    """Where the proof of a base lies below the results folder of its scale."""
    return results / "bases" / f"{weights.replace(':', '-')}.json"


def prove_base(weights: str, env: Env, backbone: nn.Module, base: TaskData) -> None:
    """Measure an untouched base at scale paper on ImageNet, once for the same bytes and images.

    Raises:
        UserError: if its accuracy is more than TOLERANCE away from the pinned one; no proof is kept then.
    """
    fingerprint = backbone_fingerprint(backbone)
    if _is_proven(env.results, weights, fingerprint, base.sha):
        return
    if weights in TIMM_TOP1:
        classes: int = backbone.num_classes  # type: ignore[assignment]
        base = load_base_task(base.name, env, preprocessing_of(backbone), classes=classes)
    declared = declared_top1(env.weights_root, weights)
    logits = predict(backbone, eval_batches(base.test, next(backbone.parameters()).device))
    confirm_base(
        env.results,
        weights,
        fingerprint=fingerprint,
        data_sha=base.sha,
        top1=top1(logits, base.test.labels),
        expected=BASE_TOP1[weights] if declared is None else declared,
        n_examples=len(base.test.labels),
        transform=str(base.test.preprocessing),
    )


def _is_proven(results: Path, weights: str, fingerprint: str, data_sha: str) -> bool:
    path = proof_path(results, weights)
    if not path.exists():
        return False
    known = json.loads(path.read_text(encoding="utf-8"))
    return (known["fingerprint"], known["data_sha"]) == (fingerprint, data_sha)


def confirm_base(
    results: Path,
    weights: str,
    *,
    fingerprint: str,
    data_sha: str,
    top1: float,
    expected: float,
    n_examples: int,
    transform: str,
) -> None:
    """Compare a measured base with the pinned value and keep the proof.

    Raises:
        UserError: if the accuracy is more than TOLERANCE away from the pinned one; nothing is kept then.
    """
    if abs(top1 - expected) > TOLERANCE:
        raise UserError(
            f"Base {weights} reaches {top1:.2f} % on ImageNet ({n_examples} images, {transform}), expected "
            f"{expected:.2f} +- {TOLERANCE}: other weights, images or preprocessing. "
            "Run: python -m benchmarks fetch imagenet --check, and delete the weights from the cache of the Hugging "
            "Face Hub."
        )
    proof = BaseProof(
        weights=weights,
        fingerprint=fingerprint,
        data_sha=data_sha,
        top1=top1,
        expected=expected,
        n_examples=n_examples,
        transform=transform,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with atomic_text(proof_path(results, weights)) as stream:
        json.dump(asdict(proof), stream, indent=1)

"""Whether the base reaches the ImageNet accuracy that the paper's numbers stand on; measured once, kept as a proof.

Another set of weights under the same name shifts every harmonic mean (timm 0.8 changed `resnet18` by 2 points), and
nothing in a table would show it.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.record import atomic_text

TOLERANCE = 0.3
"""Per cent; decoders and resizing kernels differ by about a tenth."""

BASE_TOP1: dict[str, float | None] = {
    "timm:resnet18.tv_in1k": 68.87,
    "timm:resnet34.bt_in1k": 74.66,
    "timm:resnet50.a1_in1k": 80.15,
    "timm:resnet101.a1h_in1k": 81.87,
    "timm:convnext_tiny.fb_in1k": 82.47,
    "timm:convnext_small.fb_in1k": 83.30,
    "timm:convnext_base.fb_in1k": 84.15,
    "timm:convnext_large.fb_in1k": 84.52,
    "timm:resnet18.a1_in1k": None,  # Table 1; its harmonic means need a base of at least 71.25
    "timm:resnet50.tv_in1k": None,  # Table 5
    "timm:resnext50_32x4d.a1h_in1k": None,  # Table 8
    "timm:wide_resnet50_2.racm_in1k": None,  # Table 8
}
"""Weights of the paper's twelve bases -> ImageNet top-1 that Table 10 prints (whole short side, bicubic); None where no
table prints it: the measured value is kept without a verdict."""


@dataclass(frozen=True, kw_only=True)
class BaseProof:
    """What was measured of one base."""

    weights: str
    fingerprint: str
    """SHA-256 of the state dict."""
    data_sha: str
    top1: float
    expected: float | None
    n_examples: int
    transform: str
    measured_at: str


def proof_path(results: Path, weights: str) -> Path:
    """Where the proof of a base lies below the results folder of its scale."""
    return results / "bases" / f"{weights.replace(':', '-')}.json"


def confirm_base(
    results: Path, weights: str, *, fingerprint: str, data_sha: str, top1: float, n_examples: int, transform: str
) -> None:
    """Compare a measured base with the pinned value and keep the proof; the same bytes and data are proven once.

    Raises:
        UserError: if the accuracy is more than TOLERANCE away from the printed one; nothing is kept then.
    """
    path = proof_path(results, weights)
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if (known["fingerprint"], known["data_sha"]) == (fingerprint, data_sha):
            return
    expected = BASE_TOP1.get(weights)
    if expected is not None and abs(top1 - expected) > TOLERANCE:
        raise UserError(
            f"Base {weights} reaches {top1:.2f} % on ImageNet ({n_examples} images, {transform}), the paper's stands "
            f"at {expected:.2f} +- {TOLERANCE}: other weights, images or preprocessing. Run: delta-bench fetch "
            "imagenet --check, and delete the weights from the cache of the Hugging Face Hub."
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
    with atomic_text(path) as stream:
        json.dump(asdict(proof), stream, indent=1)

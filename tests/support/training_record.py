"""A record of a training that never was."""

from delta_core.tool.choice import Trial
from delta_core.tool.record import TrainingRecord
from delta_core.training.history import Epoch
from delta_core.training.recipe import Recipe

RECORD = TrainingRecord(
    run_id="0" * 12,
    data='pets: "of | mine"',
    data_sha="0",
    seen_sha="",
    splits="",
    train_images=9,
    val_images=3,
    val_top1=50.0,
    test_images=8,
    test_right=7,
    by_class=(("a", 3, 4), ("b", 4, 4)),
    recipe=Recipe(),
    patience=None,
    class_weights=None,
    trials=(Trial(modules=0, loss=0.5, right=2, images=3, train_s=1.0),),
    epochs_run=1,
    kept_epoch=1,
    history=(Epoch(number=1, epochs=1, train_loss=0.5, val_top1=50.0, train_s=1.0),),
    seed=0,
    steps=1,
    train_s=1.0,
    fingerprint_before="0",
    fingerprint_after="0",
    base_logits_equal=True,
    origin={
        "git_dirty": False,
        "git_sha": "",
        "device": "cpu",
        "precision": "32-true",
        "measured_at": "",
        "versions": "",
    },
)

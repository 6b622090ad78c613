"""The net of Table 6: a backbone from scratch, perhaps with Delta-modules that train along, an embedding, a classifier.

Shape legend: B batch, H W image size, F features, N classes.
"""

from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from benchmarks.nets.slim import slim_backbone
from benchmarks.suites.domain_adaptation.spec import StartSpec
from delta_core import DeltaModel, JointDelta
from delta_core.families import feature_size

PATCH = "digits"


class Classifier(nn.Module):
    """Images (B, 3, H, W) -> logits (B, N) by way of an embedding (B, F).

    The embedding is the pooled features. Under a uniform prior a linear layer and a tanh follow, because pooled
    features are not negative and could never fill (-1, 1)^F.
    """

    def __init__(self, net: nn.Module, features: int, classes: int, *, squashed: bool) -> None:
        super().__init__()
        self.net = net
        self.projection = nn.Linear(features, features) if squashed else None
        self.head = nn.Linear(features, classes)

    def embed(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, F)."""
        net = cast(Any, self.net)
        pooled: Tensor = net.forward_head(net.forward_features(x), pre_logits=True)
        return pooled if self.projection is None else torch.tanh(self.projection(pooled))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return cast(Tensor, self.head(self.embed(x)))


class Embedding(nn.Module):
    """A classifier without its head, as a module: images (B, 3, H, W) -> embeddings (B, F)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.train(classifier.training)  # whoever restores this module's mode must not change the classifier's

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.classifier.embed(x)


def new_classifier(spec: StartSpec, classes: int) -> Classifier:
    """A net with fresh weights on the CPU. The backbone's are the same with and without modules or prior."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.draw("init"))
        if spec.net == "slim":
            net = slim_backbone(spec.architecture, num_classes=0)
        else:
            net = timm.create_model(spec.architecture, num_classes=0)
        features = feature_size(net)
        if spec.delta is not None:
            torch.manual_seed(spec.draw("modules"))
            model = DeltaModel(net)
            model.add_patch(PATCH, num_classes=None, config=spec.delta)
            net = JointDelta(model)
        torch.manual_seed(spec.draw("head"))
        return Classifier(net, features, classes, squashed=spec.prior is not None)

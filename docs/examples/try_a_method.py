"""Three steps of a method of one's own on every net of Table 2, with random weights: base untouched?"""

# %%
import timm
import torch
from new_method import LastStageScale
from torch.nn import functional as F

from benchmarks.methods.adapted import AdaptedNet, trainable
from benchmarks.records.names import TABLE2_ARCHITECTURES
from benchmarks.worlds.recipes import local_recipes
from delta_core import backbone_fingerprint

# %% [markdown]
# Three steps on random images, a net at a time, with the fingerprint of the backbone before and after.

# %%
if __name__ == "__main__":
    method = LastStageScale(recipe=local_recipes().tuning)
    torch.manual_seed(0)
    images, labels = torch.randn(6, 3, 64, 64), torch.arange(6) % 3
    for architecture in TABLE2_ARCHITECTURES:
        backbone = timm.create_model(architecture).eval()
        before = backbone_fingerprint(backbone)
        model = AdaptedNet(backbone, method.adapt, classes=3, seed=0).train()
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=method.recipe.lr)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        print(f"{architecture}: {trainable(model.net):,} parameters without head, loss {loss.item():.2f}")
        print(f"base bit-identical: {backbone_fingerprint(backbone) == before}")

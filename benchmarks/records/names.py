"""Words that runners write into rows and reports read there: written once, here. Imports nothing."""

# What a run belongs to (`Row.suite`).
BASE = "base"
"""Pre-training of a slim net."""
PATCHING = "patching"
SEQUENCE = "sequence"
TRANSFER = "transfer"
DOMAIN_ADAPTATION = "domain_adaptation"
DENSE = "dense"
TABLE8 = "table8"
TABLE12 = "table12"
TABLE13 = "table13"
ABLATION = "ablation"
STUDY_DEFAULTS = "study_defaults"
RATES = "rates"
"""Learning rates of the methods of Tables 1 and 2, compared on validation data."""
ADAPTERS_SEARCH = "adapters_search"
"""Configurations of every adapter, compared on validation data."""
ADAPTERS = "adapters"
"""Every adapter in the configuration that its search chose."""

AGREEMENT = "agreement"
"""How well agreement with the untouched net predicts accuracy on a labelled base."""

# Arms of a method (`Row.variant`), or what they begin or end with.
MAPS = "maps"
"""Delta as this library has it, `DeltaConfig()`: gates, and low-rank maps on the skips."""
GATES_ALONE = "default"
"""`DeltaConfig.gates_alone()`. Rows have called it so since it was the default, and what is recorded keeps its name."""
LITERAL = "paper"
"""`DeltaConfig.paper()`, the literal reading of the paper."""
WITH_BATCH_NORM = "+bn"
"""Ending: PAINT with BatchNorm statistics measured anew."""
FRESH_NORM = "fresh BN"
"""A policy of Table 8 whose BatchNorm starts as the paper's reading has it."""
MEAN_GATES = ", gates at their mean"
"""Ending: Delta whose gates no longer see the input, held at their mean over training images."""
VALIDATED = ", validated"
"""Ending: weights that a validator without target labels picked (Table 6)."""
FROZEN_STAGES = "frozen_stages"
"""Beginning: the stock reading of OpenMMLab, which fine-tunes the rest of the backbone (Table 7)."""

# What a value is (`Row.metric`), where reports tell it from others.
TOP1 = "top1"
TOP5 = "top5"
BASE_AGREEMENT = "base_agreement"
"""Share of unlabelled images on which the base head still gives the top-1 of the untouched net: no accuracy."""
UNLABELLED = "unlabelled:"
"""Beginning of a base task's name: images without labels, on which agreement is measured."""

LOOK_ALIKE = "look-alike:"
"""Beginning of the identity of data that were made to rehearse on; rows of such runs are no results."""

# Names of tasks and weights that a table stands on.
PAPER_BASE = "imagenet_val"
"""Base task at scale paper: ImageNet's validation images, which need no training image beside them."""
PATCH_TASKS = ("mnist5k", "optdigits", "shapes", "signs", "textures", "photos")
"""Tables 2 and 10 at scale embedded."""
DECATHLON_TASKS = (*PATCH_TASKS, "strokes", "motions", "walkers")
"""Table 1; the last three stand for Omniglot, UCF101's dynamic images and Daimler pedestrians."""
TABLE8_TASKS = ("signs", "photos")
TOP5_TASKS = ("imagenet", "glyphs62")
"""Measured in top-5 as well, and shown in it (Table 13): ImageNet, and what plays it at scale embedded."""
TABLE1_WEIGHTS = "timm:resnet18.a1_in1k"
"""Table 1 has another base than Table 2 at scale paper: its harmonic means need a base top-1 of at least 71.25."""
REAL_ARCHITECTURES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
"""Nets of scale real. Tables that the paper has on one net, or on several whole, stand on the first."""
TABLE1_ARCHITECTURES = ("resnet18", REAL_ARCHITECTURES[0])
TABLE2_ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "convnext_tiny", REAL_ARCHITECTURES[0])
TABLE10_MORE_ARCHITECTURES = ("resnet101", "convnext_small", "convnext_base", "convnext_large", *REAL_ARCHITECTURES[1:])
"""Nets of Table 10 that Table 2 does not have; scale embedded has none of them."""
PERCENTS = (15, 30, 50, 100)
"""Rates of Table 5: shares of the training images."""

"""What a family of CNNs has to say about its nets, and how its units become stages.

A net is a sequence of stages. A stage is either run as it is (`Plain`) or is a `Block` whose sub-blocks can be gated.
Only names of modules are kept, so a layout survives deepcopy, pickling and moves between devices.

Shape legend: B batch, C channels, H W size, F pooled features.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, cast

from torch import Tensor, nn

from delta_core.errors import DeltaError

Unit = Any
"""A residual unit of timm or torchvision; their classes share no typed interface."""

Net = Any
"""A net of timm or torchvision."""

Wiring = Literal["sum", "concat"]
"""How a sub-block takes in the nodes before it: they are added to its residual (ResNet), or it reads them side by side
(DenseNet)."""


def identity(_: Unit, x: Tensor) -> Tensor:
    """The shortcut or activation of units that have none of their own."""
    return x


def submodule(net: nn.Module, name: str) -> nn.Module:
    """`net.get_submodule(name)` in a twentieth of its time, which is that of a small layer."""
    found = net
    for step in name.split("."):
        found = cast(nn.Module, found._modules[step])
    return found


def always(_: Unit) -> bool:
    """Answer of units that are residual whatever their shape."""
    return True


@dataclass(frozen=True, kw_only=True)
class SubBlockAdapter:
    """A residual unit taken apart: output = activation(residual(x) + shortcut(x)). These three take (module, x)."""

    residual: Callable[[Unit, Tensor], Tensor]
    """Everything up to the addition, in memory of its own: the sum may be made in its place."""
    channels: Callable[[Unit], tuple[int, int]]
    """Channels that enter and leave the unit."""
    shortcut: Callable[[Unit, Tensor], Tensor] = identity
    """The unit's own skip connection: identity, or its frozen down-sampling projection."""
    activation: Callable[[Unit, Tensor], Tensor] = identity
    """What follows the addition."""
    has_skip: Callable[[Unit], bool] = always
    """Whether this unit adds a shortcut at all; one that does not is a frozen transition between blocks."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Modules that always run untouched, in this order."""

    modules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Units:
    """A run of units, in forward order, that is cut into blocks and transitions by what its adapters say."""

    name: str
    units: tuple[str, ...]
    wiring: Wiring = "sum"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block that can be gated: a run of sub-blocks, each of which has a skip connection."""

    name: str
    sub_blocks: tuple[str, ...]
    modules: tuple[str, ...]
    """What runs, in this order, where the block is not gated."""
    wiring: Wiring
    in_channels: int
    """Channels entering the first sub-block, i.e. what the Delta-module reads."""
    out_channels: int
    node_channels: tuple[int, ...]
    """Channels of nodes 0..k: all the same where nodes are summed, the block's input and each sub-block's new features
    where they are concatenated."""


Stage = Plain | Block


def timm_pool(net: Net, x: Tensor) -> Tensor:
    """`Family.pool` of timm's common head interface."""
    return net.forward_head(x, pre_logits=True)


def timm_feature_size(net: Net) -> int:
    """`Family.feature_size` of timm's common head interface."""
    return getattr(net, "head_hidden_size", None) or net.num_features


def timm_head(net: Net) -> nn.Module:
    """`Family.head` of timm's common head interface."""
    return net.get_classifier()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A class of nets: how one is laid out, and what stands behind its last stage. The head's default is timm's."""

    layout: Callable[[Net], Sequence[Plain | Units]]
    """The net in forward order, up to (not including) the pooling in front of its head."""
    pool: Callable[[Net, Tensor], Tensor] = timm_pool
    """Features (B, C, H, W) -> what the base task's classifier reads, (B, F)."""
    feature_size: Callable[[Net], int] = timm_feature_size
    """F."""
    head: Callable[[Net], nn.Module] = timm_head
    """The classifier of the base task: its last linear layer."""


def children(net: nn.Module, name: str) -> tuple[str, ...]:
    """Full names of the direct children of a module, in order.

    >>> children(nn.ModuleDict({"stem": nn.Sequential(nn.ReLU(), nn.ReLU())}), "stem")
    ('stem.0', 'stem.1')
    """
    return tuple(f"{name}.{child}" for child, _ in net.get_submodule(name).named_children())


def cut(net: nn.Module, run: Units, adapters: Mapping[type[nn.Module], SubBlockAdapter]) -> Iterator[Stage]:
    """Units with a shortcut form blocks; those without are frozen transitions between them.

    Raises:
        DeltaError: if a unit is of a type that has no adapter.
    """
    for name in run.units:
        kind = type(net.get_submodule(name))
        # Exact types: a subclass may compute something else (CondConvResidual does), so it needs an adapter of its own.
        if kind not in adapters:
            known = ", ".join(sorted({known.__name__ for known in adapters}))
            raise DeltaError(
                f"{run.name} of {type(net).__name__} has sub-blocks of type {kind.__name__}; supported are {known}. "
                "Register an adapter for it; help(delta_core.register_sub_block) says how."
            )

    def adapter(name: str) -> SubBlockAdapter:
        return adapters[type(net.get_submodule(name))]

    def block(name: str, names: tuple[str, ...]) -> Block:
        channels = [adapter(unit).channels(net.get_submodule(unit)) for unit in names]
        in_channels = channels[0][0]
        concat = run.wiring == "concat"
        nodes = (in_channels, *(new for _, new in channels)) if concat else (channels[-1][1],) * (len(names) + 1)
        return Block(
            name=name,
            sub_blocks=names,
            modules=(run.name,) if concat else names,
            wiring=run.wiring,
            in_channels=in_channels,
            out_channels=sum(nodes) if concat else nodes[-1],
            node_channels=nodes,
        )

    grouped = groupby(run.units, key=lambda name: adapter(name).has_skip(net.get_submodule(name)))
    groups = [(has_skip, tuple(names)) for has_skip, names in grouped]
    only_block = sum(has_skip for has_skip, _ in groups) == 1
    for has_skip, names in groups:
        yield block(run.name if only_block else names[0], names) if has_skip else Plain(modules=names)

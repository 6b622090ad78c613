"""`delta-patch info`: what a patch folder holds, read without opening its net's weights."""

from pathlib import Path

from delta_core import PatchFile, read_patch
from delta_core.weights import FILE, net_bytes


def describe(folder: Path) -> list[tuple[str, str]]:
    """(what, value) for everything that a patch folder says.

    Raises:
        DeltaError: if the folder is not an undamaged patch.
    """
    file = read_patch(folder)
    head = sum(size for name, size in file.tensor_bytes.items() if name.startswith("head."))
    body = sum(file.tensor_bytes.values()) - head
    full = net_bytes(file.architecture)
    share = "" if full is None else f", {100 * file.size_bytes / full:.2f} % of the net's {_mb(full)}"
    if share and file.weights.startswith(FILE):
        share += " with the head that the library makes; that of the file is not known here"
    return [
        ("patch", file.name),
        ("modules", _modules(file)),
        ("base", f"{file.architecture}, weights {file.weights or 'not known'}"),
        ("fingerprint", file.fingerprint),
        ("classes", f"{file.num_classes}: {', '.join(file.class_names) or 'names not known'}"),
        ("input", str(file.preprocessing or "that of the weights")),
        ("size", f"{_mb(file.size_bytes)}{share}"),
        ("without head", _mb(body)),
        *((name, f"{value:.2f}") for name, value in file.metrics.items()),
        ("made with", f"delta-patching {file.library_version}"),
    ]


def _modules(file: PatchFile) -> str:
    config = file.config
    if config is None:
        return "none, a head alone"
    return (
        f"{config.n_modules}, gating {config.gating}, gates start at {config.gate_start}, BatchNorm on the "
        f"{config.norm_place} from {config.norm_start}"
    )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB ({size_bytes:,} bytes)"

"""Install mmcv with its compiled ops for the torch of this environment, building its wheel where there is none yet.

PyPI has no wheel of mmcv, only its source. The wheel is built once for each version of torch and Python and each
architecture of GPU, in about 4 minutes on two idle cores without one, and kept in the folder that is given; an mmcv
with ops that is there already is left alone. At the end two ops run once on the device that trainings will use.
Needs g++, on a GPU nvcc too, and nothing but the standard library and torch:

    python tools/install_mmcv.py FOLDER
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import torch
from torch.utils.cpp_extension import CUDA_HOME, include_paths

VERSION = "2.1.0"  # mmdet 3.3.0 and mmsegmentation 1.2.2 assert a version below 2.2.0
PROBE = "--probe"
FLAGS = ["-g0", "-O2", "-fPIC"]
STANDARD = "-std=c++20"


def main(folder: Path) -> None:
    """Install the wheel of the folder, built first if it is not there."""
    try:
        import mmcv._ext  # noqa: F401
    except ImportError:
        capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
        _pip("install", str(_wheel(folder / home_of(torch.__version__, capability))))
    else:
        print("mmcv with ops is installed already")
    probe = [sys.executable, __file__, PROBE]  # ops of a wheel that has just been installed are found by a new process
    sys.exit(subprocess.run(probe, check=False).returncode)


def home_of(torch_version: str, capability: tuple[int, int] | None) -> str:
    """Folder of the wheels for a torch and a GPU's compute capability (None: for the CPU).

    >>> home_of("2.14.1", None), home_of("2.14.1", (9, 0))
    ('torch-2.14.1', 'torch-2.14.1-sm90')
    """
    return f"torch-{torch_version}" + ("" if capability is None else f"-sm{capability[0]}{capability[1]}")


def probe(device: str) -> str:
    """Run NMS and RoIAlign once on a device; returns what is wrong as one sentence, empty if nothing is."""
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 8, 8], [1, 1, 8, 8], [20, 20, 30, 30]], device=device)
    rois = torch.tensor([[0.0, 0, 0, 4, 4]], device=device)
    try:
        _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), iou_threshold=0.5)
        pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), rois, (2, 2))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return (
            f"mmcv's ops do not run on {device} ({reason}): it was built for another device; uninstall it (python -m "
            "pip uninstall mmcv) and start again where nvcc and the GPU are."
        )
    if kept.tolist() != [0, 2] or not torch.allclose(pooled, torch.ones_like(pooled)):
        return (
            f"mmcv's ops give wrong answers on {device}; uninstall it (python -m pip uninstall mmcv) and start again."
        )
    return ""


def _wheel(home: Path) -> Path:
    # A wheel without ops would be named py3-none-any.
    pattern = f"mmcv-{VERSION}-cp{sys.version_info.major}{sys.version_info.minor}-*.whl"
    if not list(home.glob(pattern)):
        print(f"Building mmcv {VERSION} for torch {torch.__version__}, some minutes; the wheel is kept in {home}.")
        with tempfile.TemporaryDirectory() as temporary:
            _build(_source(Path(temporary)), _precompiled_header(Path(temporary)), home)
    for wheel in home.glob(pattern):
        return wheel
    sys.exit(f"mmcv was built without its ops: {home} holds no {pattern}.")


def _source(temporary: Path) -> Path:
    """Unpacked source, set to the C++ standard that torch's headers ask for."""
    # pip runs setup.py for the name, which is mmcv-lite without ops.
    _pip("download", "--no-binary", ":all:", f"mmcv=={VERSION}", "--dest", str(temporary), MMCV_WITH_OPS="1")
    with tarfile.open(next(temporary.glob("mmcv-*.tar.gz"))) as archive:
        archive.extractall(temporary, filter="data")
    source = temporary / f"mmcv-{VERSION}"
    setup = source / "setup.py"
    text = setup.read_text(encoding="utf-8")
    if "-std=c++17" not in text:
        sys.exit(f"setup.py of mmcv {VERSION} does not name the C++ standard it is known to name.")
    setup.write_text(text.replace("-std=c++17", STANDARD), encoding="utf-8")
    return source


def _precompiled_header(temporary: Path) -> Path:
    """The header of torch, which every op includes, parsed once: a file then takes a third of the time.

    The compiler ignores it where flags or macros differ, so the wheel does not depend on it: setuptools lets CFLAGS of
    the environment replace Python's own, so these are not repeated here.
    """
    header = temporary / "prelude.h"
    header.write_text("#include <torch/types.h>\n", encoding="utf-8")
    includes = [*include_paths(), sysconfig.get_paths()["include"]]
    command = [
        *shlex.split(sysconfig.get_config_var("CXX") or "g++"),
        *FLAGS,
        *(STANDARD, "-DTORCH_API_INCLUDE_EXTENSION_H", "-DTORCH_EXTENSION_NAME=_ext"),
        *(f"-I{path}" for path in includes),
        *("-x", "c++-header", str(header), "-o", f"{header}.gch"),
    ]
    subprocess.run(command, check=True)
    return header


def _build(source: Path, header: Path, home: Path) -> None:
    flags = shlex.join([*FLAGS, "-include", str(header)])
    if torch.cuda.is_available() and CUDA_HOME is None:
        sys.exit("torch sees a GPU, but there is no nvcc to build mmcv for it; install the CUDA toolkit of this torch.")
    _pip(
        *("wheel", str(source), "--wheel-dir", str(home)),
        MMCV_WITH_OPS="1",
        MAX_JOBS=os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1),
        CFLAGS=flags,
        CXXFLAGS=flags,
        CCACHE_DISABLE="1",  # it does not see through a precompiled header
    )


def _pip(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--no-build-isolation"]
    subprocess.run(command, check=True, env=os.environ | environment)


if __name__ == "__main__":
    if sys.argv[1] == PROBE:
        sys.exit(probe("cuda" if torch.cuda.is_available() else "cpu") or 0)
    main(Path(sys.argv[1]))

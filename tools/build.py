"""Build the sdist of this checkout, and the wheel from the unpacked sdist: `python tools/build.py FOLDER`.

By setuptools alone, in the environment at hand. What an earlier build left in the checkout cannot slip into the wheel,
and a wheel that builds proves the sdist whole.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> tuple[Path, Path]:
    """Sdist and wheel, written into a folder; older ones in it are deleted."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("delta_patching-*.tar.gz"), *folder.glob("delta_patching-*.whl")]:
        old.unlink()
    sdist = _run("build_sdist", ROOT, folder)
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked, filter="data")
        return sdist, _run("build_wheel", Path(unpacked) / sdist.name.removesuffix(".tar.gz"), folder)


def _run(hook: str, source: Path, folder: Path) -> Path:
    """A hook of the build backend, which works on the current folder and says much."""
    code = f"import sys; from setuptools import build_meta; build_meta.{hook}(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(folder.absolute())], cwd=source, check=True, stdout=subprocess.DEVNULL
    )
    (made,) = folder.glob("*.tar.gz" if hook == "build_sdist" else "*.whl")
    return made


if __name__ == "__main__":
    print(*build(Path(sys.argv[1])), sep="\n")

"""Version of the installed library; pyproject.toml is where it is written."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("delta-patching")
except PackageNotFoundError:  # run from a source tree
    __version__ = "unknown"

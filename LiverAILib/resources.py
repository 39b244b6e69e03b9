"""Where the files under Resources/ are, in every layout the project is used from."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_root() -> Path:
    """The Resources folder: beside the package (source, Slicer build and install trees) or inside it (installed
    wheel).
    """
    for candidate in (_PACKAGE.parent / "Resources", _PACKAGE / "Resources"):
        if (candidate / "Terminology").is_dir():
            return candidate
    raise FileNotFoundError(f"No Resources folder beside or inside {_PACKAGE}. Install LiverAI again.")


def resource(*parts: str) -> Path:
    """The path of one resource, e.g. `resource("Models", "liversegnet")`; it need not exist."""
    return resource_root().joinpath(*parts)

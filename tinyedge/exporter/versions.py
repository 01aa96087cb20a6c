"""Which packages made a file."""

from importlib.metadata import PackageNotFoundError, version

from tinyedge.version import __version__

_PACKAGES = ("torch", "onnx", "onnx2tf", "tensorflow", "onnxruntime")


def package_versions() -> dict[str, str]:
    """Return the versions of tinyedge and of those packages that a conversion goes through and that are installed."""
    versions = {"tinyedge": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # TensorFlow, above Python 3.11.
            continue
    return versions

"""Users' own encoders and methods: Python modules that register them when they are imported.

A plug-in is named on the command line (`--plugin my_encoder.py`, or a module's name), or installed as an entry point of
the group `tinyedge.plugins`. A run's `config.yaml` says which plug-in its encoder and its method came from; that record
alone never runs code, for the run may be a stranger's.
"""

import importlib
import importlib.util
import logging
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.errors import ConfigError, TinyEdgeError
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "tinyedge.plugins"

_log = logging.getLogger(__name__)
_importing: list[str] = []  # The plug-ins that are being imported, the innermost last.
_registered: set[str] = set()  # The plug-ins whose encoders and methods are known.


def load_plugin(source: str) -> None:
    """Import a plug-in, once; it registers its encoders and methods.

    Args:
        source: The path of a .py file, or the name of a module.

    Raises:
        ConfigError: There is no such file or module, it cannot be imported, or it registers nothing.
    """
    path = Path(source).expanduser()
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise ConfigError(f"--plugin {source} does not exist; give the path of a .py file or the name of a module")
    if not is_file and path.exists() and len(path.parts) > 1:
        raise ConfigError(f"--plugin {source} is no .py file; give the path of one or the name of a module")
    name = str(path.resolve()) if is_file else source
    if name in _registered:
        return
    _importing.append(name)
    try:
        if is_file:
            _import_file(Path(name))
        else:
            importlib.import_module(name)
    except TinyEdgeError:
        _registered.discard(name)
        raise
    except (Exception, SystemExit) as error:  # Whatever a user's module raises.
        _registered.discard(name)
        raise ConfigError(f"--plugin {source} cannot be imported ({_where(error)}); mend it") from error
    finally:
        _importing.pop()
    if name not in _registered:
        raise ConfigError(
            f"--plugin {source} registers nothing; put @register_encoder or @register_method of tinyedge on its class"
        )


@cache
def load_installed_plugins() -> None:
    """Import the plug-ins of installed packages, once; one that fails is named and left out."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            load_plugin(entry_point.module)
        except TinyEdgeError as error:
            _log.warning("plug-in %s of %s is left out: %s", entry_point.name, _package(entry_point), error)


def note_registration(module: str) -> str:
    """Note that a module registers an encoder or a method; return what a run records of it.

    Args:
        module: The `__module__` of what is registered.

    Returns:
        The absolute path of the plug-in's file, or the name of its module.
    """
    if _importing:
        source = _importing[-1]
    else:  # Imported by a user's own Python, which may itself be a script.
        found = sys.modules[module]
        file = getattr(found, "__file__", None)
        source = str(Path(file).resolve()) if module in ("__main__", "__mp_main__") and file is not None else module
    _registered.add(source)
    return source


def registered_plugins() -> tuple[str, ...]:
    """Name the plug-ins whose encoders and methods are known, for another process to load them too."""
    return tuple(sorted(_registered))


def require_plugin(recorded: str | None, run: Path) -> None:
    """Refuse to go on without the plug-in that a run names.

    Args:
        recorded: What the run's configuration says; None for an encoder or a method of tinyedge's own.
        run: The run.

    Raises:
        ConfigError: It is neither loaded nor installed.
    """
    if recorded is None or _file_name(recorded) in map(_file_name, _registered):
        return
    load_installed_plugins()
    if recorded not in _registered:
        raise ConfigError(
            f"{run} needs the plug-in {recorded}, and code that a run names is run only if you name it too: "
            f"look at it, then add {command_line('--plugin', recorded)}"
        )


def _file_name(source: str) -> str:
    """A file may have moved since it was recorded: its name says which it is."""
    return Path(source).name if source.endswith(".py") else source


def _import_file(path: Path) -> None:
    name = f"tinyedge_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file: give a .py file or a module to --plugin")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up.
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _where(error: BaseException) -> str:
    """What went wrong, in one line, and where in the user's file."""
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SyntaxError):
        return what
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".py")]
    return f"{what}, line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else what


def _package(entry_point: "EntryPoint") -> str:
    return entry_point.dist.name if entry_point.dist is not None else "a package"

"""Models of the Hugging Face hub: fetched by its own library, into its own cache, at a commit."""

import re
from pathlib import Path

from tinyedge.errors import CheckpointError, ToolMissing
from tinyedge.installation import install_command
from tinyedge.training.run import CLASSIFIER_FILE, CONFIG_FILE, ENCODER_FILE
from tinyedge.version import __version__
from tinyedge.zoo import locate

# A repository is named by its owner and its name.
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# What `load` needs; other files of a repository, code among them, are not fetched.
_FILES = (CONFIG_FILE, ENCODER_FILE, CLASSIFIER_FILE)


def is_repository(source: Path | str) -> bool:
    """Return whether a model is named by a repository of the hub: `owner/name`, and here is nothing of that name.

    Where there is a folder `owner`, a path into it is meant.
    """
    text = str(source)
    if not _REPOSITORY.fullmatch(text) or text.endswith(".safetensors"):
        return False
    return not locate(source).exists() and not Path(text).parent.exists()


def fetch_run(repository: str, revision: str | None = None) -> Path:
    """Return the folder of the hub's cache that holds a run; its name is the commit.

    Files that are there already are not fetched again, and a commit that is there is asked for nowhere.

    Args:
        repository: `owner/name`.
        revision: A commit, a tag or a branch; None is the newest commit of the default branch, or without a network the
            one that was newest when it was there.

    Raises:
        ToolMissing: huggingface_hub is not installed.
        CheckpointError: There is no such repository or revision, it cannot be reached, or it holds no run.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise ToolMissing(
            f"{repository} is no folder here, and to look for it on the Hugging Face hub takes huggingface_hub, which "
            f"is not installed: run `{install_command('hub')}`, or give a folder"
        ) from error
    what = repository if revision is None else f"{repository} at {revision}"
    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(_FILES),
            library_name="tinyedge",
            library_version=__version__,
        )
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{repository} is no folder here, and on the Hugging Face hub there is none of that name, or it is "
            "private: correct it, or log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repository} has no revision {revision} on the Hugging Face hub: correct it") from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{what} is no folder here and not in the cache of the Hugging Face hub, which cannot be reached: "
            "look at the network, at HF_HUB_OFFLINE, or give a folder"
        ) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{what} could not be fetched from the Hugging Face hub ({reason})") from error
    missing = [name for name in (CONFIG_FILE, ENCODER_FILE) if not (Path(folder) / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{what} of the Hugging Face hub holds no {missing[0]}: it is no model of tinyedge, as `tinyedge pack` "
            "makes them ready for the hub"
        )
    return Path(folder)

"""The licences that the Hugging Face hub knows by name."""

import difflib

from tinyedge.errors import ConfigError

# fmt: off
# The identifiers of huggingface.co/docs/hub/repositories-licenses (repository huggingface/hub-docs).
LICENCES = frozenset(
    {
        "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd",
        "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5",
        "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
        "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0",
        "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0",
        "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl", "openrail++",
        "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license",
        "llama2", "gemma", "unknown", "other"
    }
)
# fmt: on


def check_licence(licence: str) -> None:
    """Refuse a licence that the hub would show as none.

    Args:
        licence: As the hub calls it, in letters of either case.

    Raises:
        ConfigError: The hub knows no such name.
    """
    if licence.lower() in LICENCES:
        return
    close = difflib.get_close_matches(licence.lower(), sorted(LICENCES), n=1)
    hint = f"did you mean {close[0]}? The names" if close else "the names"
    raise ConfigError(
        f"the hub knows no licence {licence!r}: {hint} are in huggingface.co/docs/hub/repositories-licenses; give "
        "--license other for one that it has not"
    )

"""A lock on a folder that goes with its process, whatever ends that, and leaves no file behind."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# File systems of several machines, on which a lock may be of one alone: so mounted (NFS with local_lock), or always.
_OF_SEVERAL_MACHINES = {
    *("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "ceph", "lustre", "afs", "gpfs", "beegfs"),
}


def lock_folder(folder: Path) -> int | None:
    """Lock a folder until the descriptor returned is closed.

    Returns:
        The descriptor; None where the folder, its file system or this system has no locks.

    Raises:
        BlockingIOError: Another process has locked it, or this one by another descriptor.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def only_here(folder: Path) -> bool:
    """Return whether all who can use a folder are on this machine, as far as that is known, and so see its locks."""
    try:
        device = folder.stat().st_dev
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # No Linux.
        return True
    number = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts:  # proc(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS
        before, _, after = mount.partition(" - ")
        if before.split()[2:3] == [number]:
            kind = after.partition(" ")[0]
            return kind not in _OF_SEVERAL_MACHINES and not kind.startswith("fuse.")
    return True

"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from affnet_tf.errors import InputError
from affnet_tf.files import check_folder

try:
    import fcntl
except ImportError:
    fcntl = None

__all__ = ["locked"]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; it is made if it is not there, and taken away again if it is left empty.

    The lock lies on the folder itself, so that no file of it stays, and the system ends it with the process, however that
    dies. It is done without where the system has no such locks (Windows), or the file system has none for folders (some
    network disks): there, two runs at once are not noticed. A remote place is not held, only the local folder that its store
    is made in.

    Raises:
        InputError: another process holds it, or a file is in the way.
    """
    check_folder(folder, "store folder")
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    handle = _hold(folder)
    try:
        yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if handle is not None:
            os.close(handle)


def _hold(folder: Path) -> int | None:
    """An open handle that has the lock; None: there are no locks here."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), os.stat(folder)):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise InputError(
                    f"a store must be written by one affnet prepare at a time: wait until the other has ended. "
                    f"Received: {str(folder)!r}, which another one is writing"
                ) from None
            except FileNotFoundError:
                pass
            except OSError:
                os.close(handle)
                return None
            os.close(handle)  # whoever held it before took the folder away in between

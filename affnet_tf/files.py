"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from affnet_tf.errors import InputError

__all__ = [
    "IMAGE_SUFFIXES",
    "atomic_folder",
    "atomic_write",
    "check_folder",
    "image_number",
    "numbered_images",
    "read_json",
    "restore",
    "said_plainly",
    "write_json",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# The last digits of a name before the suffix of an image, or several: some releases ship frames named .jpg.jpg.
_NUMBERED = re.compile(rf"(\d+)\D*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})+$", re.IGNORECASE)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """Open a temporary file beside ``path``; it takes the name ``path`` only if the block succeeds.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        with os.fdopen(handle, mode, **options) as file:
            yield file
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise said_plainly(error, path) from None


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the name ``path`` only if the block succeeds.

    A process that is killed at any moment leaves the old folder or the new one at ``path``. Where the system cannot
    exchange two names in one step, it may leave the old one beside it; ``restore`` then brings it back.

    Raises:
        InputError: ``path`` exists and ``replace`` is false, or is a file or below one; or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    restore(path)
    if path.exists() and not replace:
        raise InputError(f"output folder must not exist yet. Received: {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        _put(temporary, path)
    except BaseException as error:
        _remove(temporary)
        raise said_plainly(error, path) from None


def restore(path: str | os.PathLike) -> None:
    """Bring back the folder that a killed ``atomic_folder`` had moved aside, if nothing took its place.

    Whoever reads a folder that ``atomic_folder`` may have replaced calls this first; it costs one look at ``path``.
    """
    path = Path(path)
    if path.exists() or not path.name or not path.parent.is_dir():
        return
    prefix, suffix = f".{path.name}.", ".old"
    retired = [e for e in os.scandir(path.parent) if e.name.startswith(prefix) and e.name.endswith(suffix)]
    for entry in sorted(retired, key=lambda entry: entry.stat().st_mtime, reverse=True):
        if os.path.isdir(os.path.join(entry.path, path.name)):
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(os.path.join(entry.path, path.name), path)
                os.rmdir(entry.path)
            return


def check_folder(path: str | os.PathLike, name: str = "output folder") -> None:
    """Raise if no folder can be at ``path``.

    Args:
        path: where a folder is, or is to be made.
        name: what the user calls it, such as ``--out``.

    Raises:
        InputError: a file is there, or in the way.
    """
    path = Path(path)
    for place in (path, *path.parents):
        if place.is_dir():
            return
        if os.path.lexists(place):
            where = "which is a file" if place == path else f"where {str(place)!r} is a file"
            raise InputError(f"{name} must be a folder. Received: {str(path)!r}, {where}")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def read_json(path: str | os.PathLike, opener: Callable[..., Any] = open) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        opener: what opens it; ``tf.io.gfile.GFile`` reads other file systems too.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        with opener(path, "rb") as file:
            return json.loads(file.read().decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"file must exist. Received: {str(path)!r}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{str(path)!r} must be JSON. Received: {error}") from None


def numbered_images(folder: str | os.PathLike) -> dict[int, Path]:
    """The images of a folder by the last integer in their names, in ascending order of that integer.

    Names are compared as numbers, never as text: ``img9.jpg`` comes before ``img10.jpg``, and ``reg_EP01_5-113.jpg``
    is frame 113. Files that are not images, hidden files and names without a digit are left out. Nothing is decoded.

    Raises:
        InputError: the folder is missing, or two images have one number.
    """
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except FileNotFoundError:
        raise InputError(f"frame folder must exist. Received: {str(folder)!r}") from None
    except NotADirectoryError:
        raise InputError(f"frame folder must be a folder. Received: {str(folder)!r}") from None
    base, found = Path(folder), {}
    for name in entries:
        number = image_number(name)
        if number is None:
            continue
        if number in found:
            raise InputError(
                f"frame numbers in {str(folder)!r} must be unique. Received: {found[number].name!r} and {name!r}"
            )
        found[number] = base / name
    return dict(sorted(found.items()))


def _put(temporary: Path, path: Path) -> None:
    """Give a finished folder its name; what had the name is removed."""
    if not os.path.lexists(path):
        os.replace(temporary, path)
    elif _exchange(temporary, path):
        _remove(temporary)
    else:
        retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
        os.replace(path, retired / path.name)
        os.replace(temporary, path)
        _remove(retired)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step, if the system can: Linux does, on most file systems."""
    # Python has no function for it.
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(exchange)) == 0


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def image_number(name: str) -> int | None:
    """The last integer in an image's name; None for a name without one, a hidden file, and what is no image."""
    match = None if name.startswith(".") else _NUMBERED.search(name)
    return int(match[1]) if match else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def said_plainly(error: BaseException, path: Path) -> BaseException:
    """One line in place of the error of a full disk; any other error as it is."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(
            f"{str(path)!r} must have room on its disk: free some, and run the same command again (with --resume for a run). "
            f"Received: {os.strerror(error.errno)}"
        )
    return error

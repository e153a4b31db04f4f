"""Files that are whole or absent: written under a temporary name, then renamed.

At a remote place a file is written on the local disk, and copied up under a temporary name once it is whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from affnet_tf.errors import InputError
from affnet_tf.places import Address, Place, Remote, place_at

__all__ = [
    "IMAGE_SUFFIXES",
    "atomic_folder",
    "atomic_write",
    "check_folder",
    "image_number",
    "left_by_a_kill",
    "move",
    "numbered_images",
    "on_disk",
    "open_arrays",
    "read_json",
    "remove_folder",
    "restore",
    "said_plainly",
    "write_json",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# The last digits of a name before the suffix of an image, or several: some releases ship frames named .jpg.jpg.
_NUMBERED = re.compile(rf"(\d+)\D*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})+$", re.IGNORECASE)


@contextlib.contextmanager
def atomic_write(path: Address, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """Open a temporary file beside ``path``; it takes the name ``path`` only if the block succeeds.

    Raises:
        InputError: the disk is full.
    """
    path = place_at(path)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    if isinstance(path, Remote):
        with _scratch() as folder:
            with open(folder / path.name, mode, **options) as file:
                yield file
            path.take(folder / path.name)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
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
def atomic_folder(path: Address, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the name ``path`` only if the block succeeds.

    A process that is killed at any moment leaves the old folder or the new one at ``path``. Where the system cannot
    exchange two names in one step, it may leave the old one beside it; ``restore`` then brings it back.

    At a remote place each file is whole or absent, and the folder is not: once all is up under temporary names, the old one is
    removed, then the files of the new one appear one after the other, in the order of their names. Whoever reads it must ask
    for all of them.

    Raises:
        InputError: ``path`` exists and ``replace`` is false, or is a file or below one; or the disk is full.
    """
    path = place_at(path)
    check_folder(path)
    restore(path)
    if path.exists() and not replace:
        raise InputError(f"output folder must not exist yet. Received: {str(path)!r}")
    if isinstance(path, Remote):
        with _scratch() as folder:
            yield folder
            _copy_up(folder, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        _put(temporary, path)
    except BaseException as error:
        _remove(temporary)
        raise said_plainly(error, path) from None


def restore(path: Address) -> None:
    """Bring back the folder that a killed ``atomic_folder`` had moved aside, if nothing took its place.

    Whoever reads a folder that ``atomic_folder`` may have replaced calls this first; it costs one look at ``path``.
    """
    path = place_at(path)
    if isinstance(path, Remote) or path.exists() or not path.name or not path.parent.is_dir():
        return
    prefix, suffix = f".{path.name}.", ".old"
    retired = [e for e in os.scandir(path.parent) if e.name.startswith(prefix) and e.name.endswith(suffix)]
    for entry in sorted(retired, key=lambda entry: entry.stat().st_mtime, reverse=True):
        if os.path.isdir(os.path.join(entry.path, path.name)):
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(os.path.join(entry.path, path.name), path)
                os.rmdir(entry.path)
            return


def check_folder(path: Address, name: str = "output folder") -> None:
    """Raise if no folder can be at ``path``.

    Args:
        path: where a folder is, or is to be made.
        name: what the user calls it, such as ``--out``.

    Raises:
        InputError: a file is there, or in the way.
    """
    path = place_at(path)
    if isinstance(path, Remote):  # where a name may go on behind a file's
        if path.is_file():
            raise InputError(f"{name} must be a folder. Received: {str(path)!r}, which is a file")
        return
    for each in (path, *path.parents):
        if each.is_dir():
            return
        if os.path.lexists(each):
            where = "which is a file" if each == path else f"where {str(each)!r} is a file"
            raise InputError(f"{name} must be a folder. Received: {str(path)!r}, {where}")


def left_by_a_kill(folder: Place, *names: str) -> list[Place]:
    """Temporary files of ``atomic_write`` and ``move`` that a kill left in a folder.

    Args:
        folder: where they may lie; it need not be there.
        names: patterns of the names that they were to have, as ``fnmatch`` reads them; by default all.
    """
    patterns = [f".{name}.*.part" for name in names or ("*",)]
    found = [path for path in folder.glob(".*.part") if any(fnmatch.fnmatchcase(path.name, each) for each in patterns)]
    return [path for path in found if path.is_file()]


def move(file: Path, target: Place) -> None:
    """Give a finished local file its place; what had the name is replaced."""
    if isinstance(target, Remote):
        target.take(file)
        file.unlink()
    else:
        os.replace(file, target)


@contextlib.contextmanager
def on_disk(file: Place) -> Iterator[Path]:
    """A file for a library that opens local ones alone: itself, or a copy for as long as the block lasts."""
    if isinstance(file, Remote):
        with _scratch() as folder:
            file.give(folder / file.name)
            yield folder / file.name
    else:
        yield file


def remove_folder(path: Place) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if isinstance(path, Remote):
        path.rmtree()
    else:
        shutil.rmtree(path, ignore_errors=True)


def write_json(path: Address, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def read_json(path: Address) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, is a folder, or is not JSON.
    """
    place = place_at(path)
    try:
        with place.open("rb") as file:
            return json.loads(file.read().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"file must exist. Received: {str(path)!r}") from None
    except OSError:  # which one, depends on the system
        if place.is_dir():
            raise InputError(f"{str(path)!r} must be a file. Received: a folder") from None
        raise
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{str(path)!r} must be JSON. Received: {error}") from None


@contextlib.contextmanager
def open_arrays(path: Address) -> Iterator[Mapping[str, Any]]:
    """The arrays of an .npz file by name, each read when it is asked for; none is unpickled.

    Raises:
        OSError, ValueError, EOFError, zipfile.BadZipFile: the file is missing or damaged; also while an array is read.
    """
    import numpy as np

    with place_at(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        yield arrays


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


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A local folder for what is copied to a remote place."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        except OSError as error:
            raise said_plainly(error, Path(folder)) from None


def _copy_up(folder: Path, target: Remote) -> None:
    """Put a local folder in a remote one's place, which stays as it is until every file is up, under a temporary name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    old, held = target.glob("*"), []
    try:
        for file in files:
            held.append((target / file.name).hold(file))
        while old:
            _remove(old[-1])
            old.pop()
        for file, temporary in zip(files, held, strict=True):
            temporary.replace(target / file.relative_to(folder).as_posix())
    except BaseException:
        with contextlib.suppress(OSError):
            for temporary in held if old else ():
                temporary.unlink(missing_ok=True)
            if not old:
                target.rmtree()
        raise


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


def _remove(path: Place) -> None:
    if path.is_file() or (isinstance(path, Path) and path.is_symlink()):
        path.unlink()
    else:
        remove_folder(path)


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

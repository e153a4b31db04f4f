"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
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

__all__ = ["IMAGE_SUFFIXES", "atomic_folder", "atomic_write", "numbered_images", "read_json", "write_json"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


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
        raise _said_plainly(error, path) from None


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the name ``path`` only if the block succeeds.

    Raises:
        InputError: ``path`` exists and ``replace`` is false, or the disk is full.
    """
    path = Path(path)
    if path.exists() and not replace:
        raise InputError(f"output folder must not exist yet. Received: {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        if path.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
            os.replace(path, retired / path.name)
            os.replace(temporary, path)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _said_plainly(error, path) from None


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
    found: dict[int, Path] = {}
    for name in entries:
        stem, suffix = os.path.splitext(name.lower())
        while os.path.splitext(stem)[1] in IMAGE_SUFFIXES:  # some releases ship frames named .jpg.jpg
            stem = os.path.splitext(stem)[0]
        digits = re.findall(r"\d+", stem)
        if name.startswith(".") or suffix not in IMAGE_SUFFIXES or not digits:
            continue
        number = int(digits[-1])
        if number in found:
            raise InputError(
                f"frame numbers in {str(folder)!r} must be unique. Received: {found[number].name!r} and {name!r}"
            )
        found[number] = Path(folder) / name
    return dict(sorted(found.items()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _said_plainly(error: BaseException, path: Path) -> BaseException:
    """One line in place of the error of a full disk; any other error as it is."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(
            f"{str(path)!r} must have room on its disk: free some, and run the same command again (with --resume for a run). "
            f"Received: {os.strerror(error.errno)}"
        )
    return error

"""Where stores and runs lie: a path on a local disk, or an address such as ``gs://bucket/run`` that TensorFlow knows.

Here alone TensorFlow is imported for files, and only where an address begins with a scheme; a local place is a
``pathlib.Path`` and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fnmatch
import functools
import io
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from affnet_tf.errors import InputError, unknown
from affnet_tf.silence import silent

__all__ = ["Address", "Place", "Remote", "local", "place_at"]

# A scheme has two letters or more: C:/ is a drive. One slash is what pathlib leaves of two.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(/?)(.*)", re.DOTALL)


def place_at(address: Address) -> Place:
    """A local path as ``pathlib.Path``, an address with a scheme as ``Remote``. Nothing is looked at.

    Raises:
        InputError: the address names nothing behind its scheme, or lost a slash: ``Path("gs://b/x")`` is ``gs:/b/x``.
    """
    if isinstance(address, Remote):
        return address
    text = os.fspath(address)
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return Path(address)
    scheme, second, rest = found.groups()
    if not second:
        raise InputError(f"a remote address must have two slashes, and be text, not a Path. Received: {text!r}")
    if not rest.strip("/"):
        raise InputError(f"a remote address must name a folder or a file. Received: {text!r}")
    return Remote(f"{scheme}://{rest.rstrip('/')}")


def local(address: Address, what: str) -> Path:
    """A path that other libraries read from, or write to, by themselves.

    Args:
        address: what the user gave.
        what: what it is, in words.

    Raises:
        InputError: it is an address with a scheme.
    """
    if found := _ADDRESS.fullmatch(str(address)):
        raise InputError(f"{what} must be on a local disk. Received: '{found[1]}://{found[3]}'")
    return Path(address)


@dataclasses.dataclass(frozen=True, order=True)
class Remote:
    """A file or a folder behind ``tf.io.gfile``, with the part of pathlib's interface that stores and runs use.

    It is no ``os.PathLike``, since ``open`` and ``Path`` would take it for a local name. A folder is there once something is
    in it, and is made by what is written to it.

    Whatever is asked of it raises as a local path does: ``FileNotFoundError``, ``PermissionError``, ``NotADirectoryError``, or
    another ``OSError`` with what the file system answered; and ``InputError`` where TensorFlow is missing or does not know the
    scheme.

    Attributes:
        address: such as ``gs://bucket/run``, without a slash at the end.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.address}/{name}")

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> Remote:
        """The folder around it; of a bucket, itself."""
        folder = self.address.rpartition("/")[0]
        return self if folder.endswith(":/") else Remote(folder)

    def with_suffix(self, suffix: str) -> Remote:
        return self.parent / PurePosixPath(self.name).with_suffix(suffix).name

    def absolute(self) -> Remote:
        return self

    def resolve(self) -> Remote:
        return self

    def stat(self) -> os.stat_result:
        """Kind, size and time of the last change; the other fields are 0."""
        with self._files() as files:
            found = files.stat(self.address)
        kind = stat.S_IFDIR if found.is_directory else stat.S_IFREG
        seconds = found.mtime_nsec // 10**9
        return os.stat_result((kind, 0, 0, 0, 0, 0, found.length, seconds, seconds, seconds))

    def exists(self) -> bool:
        return self._mode() is not None

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self._mode() or 0)

    def is_file(self) -> bool:
        return stat.S_ISREG(self._mode() or 0)

    def iterdir(self) -> Iterator[Remote]:
        with self._files() as files:
            names = files.listdir(self.address)
        return (self / name.rstrip("/") for name in names)

    def glob(self, pattern: str) -> list[Remote]:
        """What lies in this folder under such a name; nothing where there is no folder."""
        with contextlib.suppress(FileNotFoundError):
            return [each for each in self.iterdir() if fnmatch.fnmatchcase(each.name, pattern)]
        return []

    def open(self, mode: str = "r", **options: Any) -> IO:
        """Open the file to read, ``r`` or ``rb``; ``options`` are those of ``io.TextIOWrapper``."""
        file = io.BufferedReader(_Reading(self))
        return file if "b" in mode else io.TextIOWrapper(file, **options)

    def read_text(self, encoding: str) -> str:
        with self.open(encoding=encoding) as file:
            return file.read()

    def give(self, file: Path) -> None:
        """Copy it to a local file."""
        with self._files() as files:
            files.copy(self.address, str(file), overwrite=True)

    def take(self, file: Path) -> None:
        """Become a copy of a local file, whole or not at all: under a temporary name first, which then replaces this one.

        An object store copies under the new name, and removes the old one. A process that is killed in between may leave
        the temporary one, a hidden file that ends in ``.part``; an error leaves none.
        """
        temporary = self.hold(file)
        with temporary._removed_by_an_error():
            temporary.replace(self)

    def hold(self, file: Path) -> Remote:
        """Copy a local file up, to a temporary name beside this one, and return that."""
        temporary = self.parent / f".{self.name}.{uuid.uuid4().hex[:8]}.part"
        with temporary._removed_by_an_error():
            temporary._write(lambda files: files.copy(str(file), temporary.address, overwrite=True))
        return temporary

    def replace(self, target: Remote) -> None:
        """Give the file another name; what had it is replaced."""
        target._write(lambda files: files.rename(self.address, target.address, overwrite=True))

    def unlink(self, missing_ok: bool = False) -> None:
        with contextlib.suppress(FileNotFoundError) if missing_ok else contextlib.nullcontext(), self._files() as files:
            files.remove(self.address)

    def rmtree(self) -> None:
        """Remove the folder and what is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._files() as files:
            files.rmtree(self.address)

    def _mode(self) -> int | None:
        try:
            return self.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _write(self, write: Callable[[Any], None]) -> None:
        """Do what makes this file, and make its folder first where the file system misses it.

        An object store does without folders, and asks for more rights to make one than to write.
        """
        with self._files() as files:
            if self.address.startswith("ram://"):  # is silent about a missing folder, and then lists nothing in it
                files.makedirs(self.parent.address)
        try:
            with self._files() as files:
                write(files)
        except FileNotFoundError:
            with self._files() as files:
                files.makedirs(self.parent.address)
                write(files)

    @contextlib.contextmanager
    def _removed_by_an_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self.unlink()
            raise

    @contextlib.contextmanager
    def _files(self) -> Iterator[Any]:
        """``tf.io.gfile``, whose errors become those of a local disk."""
        tensorflow = _tensorflow(self.address)
        try:
            yield tensorflow.io.gfile
        except tensorflow.errors.NotFoundError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.address) from None
        except (tensorflow.errors.PermissionDeniedError, tensorflow.errors.UnauthenticatedError) as error:
            raise PermissionError(errno.EACCES, self._reason(error), self.address) from None
        except tensorflow.errors.OpError as error:
            reason = self._reason(error)  # for a local disk it is in the system's words, as TensorFlow passes them on
            number = next((each for each in errno.errorcode if os.strerror(each) == reason), errno.EIO)
            raise OSError(number, reason, self.address) from None

    def _reason(self, error: Exception) -> str:
        """What a file system answered, in one line, without the address that it begins with."""
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        name, _, reason = line.partition("; ")
        return reason if name in (self.address, self.address.partition("://")[2]) else line


Place = Path | Remote
"""Where something lies."""

Address = str | os.PathLike | Remote
"""What a place is told by."""


class _Reading(io.RawIOBase):
    """A remote file as Python's own readers want it."""

    def __init__(self, file: Remote) -> None:
        super().__init__()
        self._remote = file
        with file._files() as files:
            self._file = files.GFile(file.address, "rb")
            self._file.size()  # it opens late, and is missed here and not where it is read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        with self._remote._files():
            found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._remote._files():
            self._file.seek(offset, whence)
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@functools.cache
def _schemes() -> tuple[Any, frozenset[str]]:
    """TensorFlow, and the schemes that it knows; it may announce itself when it is loaded."""
    with silent():
        import tensorflow
    return tensorflow, frozenset(scheme for scheme in tensorflow.io.gfile.get_registered_schemes() if scheme)


def _tensorflow(address: str) -> Any:
    try:
        tensorflow, schemes = _schemes()
    except ModuleNotFoundError:
        raise InputError(
            f"an address with a scheme must be read by TensorFlow: pip install tensorflow, or tensorflow-cpu beside JAX. "
            f"Received: {address!r} without it"
        ) from None
    scheme = address.partition("://")[0]
    if scheme not in schemes:
        raise unknown(f"the scheme of {address!r}", scheme, sorted(schemes))
    return tensorflow

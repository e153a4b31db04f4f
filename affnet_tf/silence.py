"""Keeping other libraries' chatter off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

__all__ = ["silent"]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Nothing reaches stderr inside, not even from C++: TensorFlow announces itself there, and its converter reports there.

    What is raised inside arrives outside, whatever state stderr is in.
    """
    # Not a default: importing JAX may have set 1 by now.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with contextlib.ExitStack() as stack:
        # Python's own warnings would be printed later, by whoever collects them.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        # Without a file descriptor 2 there is nothing to keep quiet.
        with contextlib.suppress(OSError):
            _flush()
            kept = os.dup(2)
            stack.callback(_restore, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
        yield


def _restore(kept: int) -> None:
    _flush()
    os.dup2(kept, 2)
    os.close(kept)


def _flush() -> None:
    # A closed or broken stderr must not put its own error in the place of the one that is on its way.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()

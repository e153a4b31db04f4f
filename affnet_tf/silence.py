"""Keeping other libraries' start-up chatter off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["silent"]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Nothing reaches stderr inside, not even from C++: TensorFlow announces itself there as it is imported."""
    # Not a default: importing JAX may have set 1 by now.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)

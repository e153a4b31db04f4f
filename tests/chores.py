"""What the tests of processes let them do. Apart from those tests, since every process imports it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from affnet_tf.errors import InputError


def work(names: Iterable[str], folder: Path) -> Iterator[str]:
    """Notes which process was given which name; some names go wrong."""
    for name in names:
        if name == "bad":
            raise InputError("fold 'bad': no good")
        if name == "broken":
            raise ZeroDivisionError("a mistake of ours")
        if name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        (folder / f"{name}-{os.getpid()}").write_text(f"{cores}")
        time.sleep(0.5)
        yield name

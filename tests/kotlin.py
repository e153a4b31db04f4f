"""The Kotlin compiler that `make test-android` brings, and what it makes; whoever lacks it skips."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = ROOT / "export" / "android" / "app" / "src"
BUILD = ROOT / "build" / "kotlin"


def compiled(sources: Sequence[Path], libraries: Sequence[Path] = ()) -> Path:
    """The sources as one jar, without a warning; compiled once for as long as they stay the same."""
    found = BUILD / "package" / "bin" / "kotlinc"
    compiler = str(found) if found.exists() else shutil.which("kotlinc")
    if shutil.which("java") is None or compiler is None:
        missing = "java" if shutil.which("java") is None else "kotlinc"
        pytest.skip(f"{missing} is neither on the PATH nor in build/kotlin: make test-android brings the compiler")
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    jar = BUILD / f"{digest}.jar"
    if not jar.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        made = BUILD / f"{digest}.{os.getpid()}.jar"
        path = ["-cp", os.pathsep.join(map(str, libraries))] if libraries else []
        command = ["bash", compiler, "-Werror", "-include-runtime", *path, "-d", made, *sources]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.rename(jar)
    return jar


def run(words: Sequence[object]) -> str:
    """What ``java`` with these words prints; it must end well."""
    done = subprocess.run(["java", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

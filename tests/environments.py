"""Environments of their own for tests: what is installed here, less something."""

from __future__ import annotations

import venv
from pathlib import Path

import keras

LEFT_OUT = ("tensorflow", "tf_keras", "tensorboard", "mtcnn", "__editable__", "affnet_tf")


def environment_without_tensorflow(folder: Path) -> Path:
    """Its Python; every other installed package is linked into it."""
    # Not asked of Python: the packages may lie in an environment that this one only names.
    installed = Path(keras.__file__).parent.parent
    packages = folder / "packages"
    packages.mkdir()
    for entry in installed.iterdir():
        if not entry.name.startswith(LEFT_OUT):
            (packages / entry.name).symlink_to(entry)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own / "packages.pth").write_text(f"{packages}\n")
    return folder / "venv" / "bin" / "python"

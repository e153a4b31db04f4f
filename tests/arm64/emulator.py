"""An arm64 Python with the runtime's wheels, and the emulator that runs it: downloaded once, unpacked, installed nowhere."""

from __future__ import annotations

import configparser
import dataclasses
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

__all__ = ["Emulator", "PreparationError", "prepare"]

ROOT = Path(__file__).resolve().parent.parent.parent
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "dpkg-deb")
# Debian 12 has the arm64 Python 3.11; its emulator, 7.2, crashes on NumPy, and Debian 13's, a static binary, does not.
PYTHON_SUITE, PYTHON, PYTHON_VERSION = "bookworm", "python3.11", "3.11"
EMULATOR_SUITE, EMULATOR, LEAST_EMULATOR = "trixie", "qemu-user", 10
# The platforms of which pip may take wheels, oldest C library first; Debian 12 has 2.36.
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


class PreparationError(Exception):
    """Something that cannot be had; one line."""


@dataclasses.dataclass(frozen=True)
class Emulator:
    """Where everything lies.

    Attributes:
        binary: the emulator, for this machine.
        system: root of the arm64 packages.
        packages: folder of the arm64 wheels, unpacked.
        versions: what was downloaded, one name and version in each.
    """

    binary: Path
    system: Path
    packages: Path
    versions: tuple[str, ...]

    def run(self, script: Path, *arguments: str) -> None:
        """Run a Python script as on arm64, with this project importable.

        Raises:
            subprocess.CalledProcessError: it failed; its own words went to standard error.
        """
        interpreter = self.system / "usr" / "bin" / PYTHON
        path = os.pathsep.join([str(self.packages), str(ROOT)])
        environment = {"PATH": os.defpath, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [self.binary, "-L", self.system, interpreter, script, *arguments]
        subprocess.run([str(word) for word in command], check=True, env=environment)


def prepare(folder: Path) -> Emulator:
    """Download and unpack, or take what an earlier call left.

    Args:
        folder: about 300 MB; deleting it is how to begin again.

    Raises:
        PreparationError: this machine is no Debian, lacks a tool, or a download failed.
    """
    stamp = folder / "versions.txt"
    wanted = _wheels()
    system, tools, packages = folder / "system", folder / "tools", folder / "packages"
    if not stamp.exists() or stamp.read_text().splitlines()[0] != " ".join(wanted):
        missing = [tool for tool in TOOLS if shutil.which(tool) is None] + [str(KEYRING)] * (not KEYRING.exists())
        if missing:
            raise PreparationError(f"{missing[0]} must be there: the arm64 packages are Debian's. Received: none")
        shutil.rmtree(folder, ignore_errors=True)
        mirror = _mirror()
        found = _unpack(folder / "apt-system", mirror, PYTHON_SUITE, "arm64", [PYTHON, "libstdc++6"], system)
        found += _unpack(folder / "apt-tools", mirror, EMULATOR_SUITE, _architecture(), [EMULATOR], tools)
        found += _unpack_wheels(folder / "wheels", wanted, packages)
        stamp.write_text("\n".join([" ".join(wanted), *found]) + "\n")
    emulator = Emulator(
        tools / "usr" / "bin" / "qemu-aarch64", system, packages, tuple(stamp.read_text().split("\n")[1:-1])
    )
    _check_version(emulator.binary)
    return emulator


def _wheels() -> list[str]:
    """What the extra ``runtime`` installs, at the versions of the constraints."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.extras_require"]["runtime"].splitlines() + ["numpy"]
    names = {line.partition(">")[0].strip() for line in lines if line.strip()}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return sorted(line for line in pinned if line.partition("==")[0] in names)


def _mirror() -> str:
    """The Debian mirror that this machine's apt is set up with."""
    form = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    lines = _output("apt-get", "indextargets", "--format", form).splitlines()
    found = [line.split("|")[2] for line in lines if line.startswith("Debian|Debian|")]
    if not found:
        raise PreparationError("apt must be set up with a Debian mirror, and updated once. Received: none")
    return found[0]


def _architecture() -> str:
    return _output("dpkg", "--print-architecture").strip()


def _unpack(apt: Path, mirror: str, suite: str, architecture: str, names: list[str], target: Path) -> list[str]:
    """Download packages and all that they need, by an apt of its own that knows nothing of this machine's, and unpack them."""
    for each in ("lists/partial", "archives/partial"):
        (apt / each).mkdir(parents=True)
    (apt / "status").touch()
    source = f"deb [arch={architecture} signed-by={KEYRING}] {mirror} {suite} main\n"
    (apt / "sources.list").write_text(source)
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _output("apt-get", *options, "update", "--error-on=any")
    _output("apt-get", *options, "--yes", "--download-only", "install", *names)
    files = sorted((apt / "archives").glob("*.deb"))
    target.mkdir(parents=True)
    for file in files:
        _output("dpkg-deb", "--extract", str(file), str(target))
    wanted = [file for file in files if file.name.split("_")[0] in names]
    shutil.rmtree(apt / "lists")
    return [" ".join(file.name.replace("%3a", ":").split("_")[:2]) for file in wanted]


def _unpack_wheels(folder: Path, wanted: list[str], target: Path) -> list[str]:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    where = ["--only-binary=:all:", "--python-version", PYTHON_VERSION, *platforms, "--dest", str(folder)]
    _output(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *where, *wanted)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return wanted


def _check_version(binary: Path) -> None:
    first = _output(str(binary), "--version").splitlines()[0]
    version = next((word for word in first.split() if word[:1].isdigit()), "0")
    if int(version.partition(".")[0]) < LEAST_EMULATOR:
        raise PreparationError(f"{EMULATOR} must be version {LEAST_EMULATOR} or newer. Received: {first}")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise PreparationError(f"{' '.join(command[:1])} {command[-1]!r} failed: {said[-1]}")
    return done.stdout

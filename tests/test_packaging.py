"""requirements.txt, the constraints and the extras of setup.cfg say the same."""

import configparser
import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def requirements(lines):
    """{name: bounds}; comments and references to other extras are left out."""
    words = (line.partition(" #")[0].strip() for line in lines)
    parsed = [Requirement(word) for word in words if word and not word.startswith(("#", "%"))]
    return {re.sub(r"[-_.]+", "-", each.name).lower(): str(each.specifier) for each in parsed}


def test_every_extra_is_in_the_requirements_with_the_same_bounds_and_nothing_else_is():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    stated = requirements(config["options"]["install_requires"].splitlines())
    for title, extra in config["options.extras_require"].items():
        if title == "ray":  # 100 MB that only a cluster needs
            continue
        for name, bounds in requirements(extra.splitlines()).items():
            if name == "tensorflow-cpu":  # lies in the same folder as tensorflow, with the same bounds
                name = "tensorflow"
            assert stated.setdefault(name, bounds) == bounds, name
    assert requirements((ROOT / "requirements.txt").read_text().splitlines()) == stated


def test_the_constraints_lie_within_the_bounds():
    pinned = requirements((ROOT / "constraints.txt").read_text().splitlines())
    for name, bounds in requirements((ROOT / "requirements.txt").read_text().splitlines()).items():
        if name != "setuptools":  # comes with the environment
            assert Requirement(f"{name}{bounds}").specifier.contains(pinned[name].removeprefix("==")), name

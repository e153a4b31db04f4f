"""Action units: every form that the datasets' sheets use, read by hand."""

from __future__ import annotations

import pytest

from affnet_tf.datasets.aus import ActionUnit, parse_aus, split_aus
from affnet_tf.errors import InputError

AU = ActionUnit


@pytest.mark.parametrize(
    ("cell", "units"),
    [
        ("4+7", [AU(4), AU(7)]),
        (" 4 + 7 ", [AU(4), AU(7)]),
        ("L1+L2", [AU(1, "L"), AU(2, "L")]),
        ("R12", [AU(12, "R")]),
        ("15A+17", [AU(15, intensity="A"), AU(17)]),
        ("4(B/C)+7B", [AU(4, intensity="B/C"), AU(7, intensity="B")]),
        ("4(B)", [AU(4, intensity="B")]),
        ("10or11", [AU(10, doubt=True), AU(11, doubt=True)]),
        ("L12 or L14", [AU(12, "L", doubt=True), AU(14, "L", doubt=True)]),
        ("R12 or 14+4", [AU(12, "R", doubt=True), AU(14, doubt=True), AU(4)]),
        ("T28+14", [AU(28, "T"), AU(14)]),
        ("R14A", [AU(14, "R", "A")]),
        ("4?", [AU(4, doubt=True)]),
        ("AU4(k)+L7", [AU(4, static=True), AU(7, "L")]),
        ("AUR2+12(k)+45", [AU(2, "R"), AU(12, static=True), AU(45)]),
        ("1，2,4", [AU(1), AU(2), AU(4)]),
        ("?", []),
        ("NULL", []),
        ("", []),
    ],
)
def test_forms(cell, units):
    assert parse_aus(cell) == tuple(units)
    assert parse_aus(split_aus(cell)) == tuple(units)


@pytest.mark.parametrize("cell", ["4F", "123", "X4", "4+eye12", "0", "12 13"])
def test_what_is_no_action_unit(cell):
    with pytest.raises(InputError, match=r"action unit must look like .* Received: '"):
        parse_aus(cell)


def test_tokens_stay_as_written():
    assert split_aus("4(B/C)+7B + L12 or L14") == ("4(B/C)", "7B", "L12 or L14")

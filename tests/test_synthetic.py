"""People who do not exist: they move as FACS says, and hide no label in their looks."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest

from affnet_tf.datasets import synthetic
from affnet_tf.datasets.labels import PAPER4
from affnet_tf.datasets.synthetic import (
    ACTION_UNITS,
    LAYOUTS,
    PROTOTYPES,
    Difficulty,
    View,
    annotate,
    film,
    perform,
    plan,
)
from affnet_tf.datasets.synthetic.camera import render_clip, timing
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import Noise
from affnet_tf.datasets.synthetic.performance import SHARED, Move, Performance, profile
from affnet_tf.datasets.synthetic.portrait import SUPERSAMPLE, portrait
from affnet_tf.datasets.synthetic.takes import person
from affnet_tf.errors import InputError

FULL = View.cropped((340, 280))
SMALL = View.cropped((85, 70))

# unit: the landmark that FACS watches, and the way it goes (outwards, downwards); 0 is not checked.
FACS = {
    1: ("inner_brow", (0, -1)),
    2: ("outer_brow", (0, -1)),
    4: ("inner_brow", (-1, 1)),
    5: ("upper_lid", (0, -1)),
    6: ("cheek", (0, -1)),
    7: ("lower_lid", (0, -1)),
    9: ("nose_wing", (0, -1)),
    10: ("upper_lip", (0, -1)),
    12: ("mouth_corner", (1, -1)),
    14: ("mouth_corner", (1, 0)),
    15: ("mouth_corner", (0, 1)),
    17: ("chin", (0, -1)),
    20: ("mouth_corner", (1, 0)),
    23: ("mouth_corner", (-1, 0)),
    24: ("lower_lip", (0, -1)),
    25: ("lower_lip", (0, 1)),
    26: ("chin", (0, 1)),
}


def quiet(number: int = 0) -> Nuisances:
    return Nuisances(np.random.SeedSequence(number), difficulty=0.0)


def show(*moves: Move, seconds: float = 0.3) -> Performance:
    return Performance("others", moves, seconds, apex=0.5, hold=0.2, lead=0.07, tail=0.07)


def optical_flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    return dis.calc(*grey, None)


def around(field: np.ndarray, who: synthetic.Person, landmark: str, side: str, reach: int = 5) -> np.ndarray:
    x, y = np.round(FULL.pixels(who.landmark(landmark, side))).astype(int)
    return field[y - reach : y + reach + 1, x - reach : x + reach + 1].mean((0, 1))


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_each_action_unit_moves_the_way_that_facs_says(unit):
    who = person(3, 1)
    frames, truth = render_clip(
        who, show(Move(unit, "L", 0.03, 0.5), Move(unit, "R", 0.03, 0.5)), FULL, quiet(), fps=30
    )
    flow = optical_flow(frames[truth.onset], frames[truth.apex])
    landmark, way = FACS[unit]
    for side, outwards in (("L", 1), ("R", -1)):
        seen = around(flow, who, landmark, side) * (outwards, 1)
        for measured, wanted in zip(seen, way, strict=True):
            assert not wanted or measured * wanted > 0.4, (side, seen)


@pytest.mark.parametrize(("unit", "landmark"), [(2, "outer_brow"), (12, "mouth_corner"), (15, "mouth_corner")])
def test_the_truth_is_what_optical_flow_measures_and_a_side_moves_alone(unit, landmark):
    who = person(3, 1)
    frames, truth = render_clip(who, show(Move(unit, "L", 0.03, 0.5)), FULL, quiet(), fps=30)
    flow = optical_flow(frames[truth.onset], frames[truth.apex])
    assert np.linalg.norm(truth.displacement, axis=-1).max() == pytest.approx(0.03 * FULL.unit, rel=0.25)
    assert around(flow, who, landmark, "L") == pytest.approx(around(truth.displacement, who, landmark, "L"), abs=0.6)
    assert np.linalg.norm(around(flow, who, landmark, "R")) < 0.3
    assert np.linalg.norm(around(flow, who, landmark, "L")) > 1.2
    # The subject's left is on the picture's right.
    assert FULL.pixels(who.landmark(landmark, "L"))[0] > FULL.width / 2


def test_parting_lips_uncover_the_dark_of_the_mouth():
    who = person(3, 1)
    moves = [Move(25, side, 0.03, 0.5) for side in "LR"]
    frames, truth = render_clip(who, show(*moves), FULL, quiet(), fps=30)
    x, y = np.round(FULL.pixels(who.landmark("mouth"))).astype(int)
    window = np.s_[:, y - 8 : y + 9, x - 3 : x + 4]
    dark = (frames[window].mean(-1) < 70).mean((1, 2))
    assert dark[truth.apex] > dark[truth.onset] + 0.08


def test_the_face_is_neutral_at_the_onset_whatever_will_be_shown():
    clips = [film(5, 2, 0, emotion, view=SMALL, difficulty=0, fps=60) for emotion in PROTOTYPES]
    for frames, truth in clips:
        np.testing.assert_array_equal(frames[truth.onset], clips[0][0][clips[0][1].onset])
        np.testing.assert_array_equal(frames[0], frames[truth.onset])
        np.testing.assert_array_equal(frames[-1], frames[truth.offset])
        assert truth.strength[truth.onset] == truth.strength[truth.offset] == 0
        assert np.abs(frames[truth.apex].astype(int) - frames[truth.onset]).max() > 20
    other, truth = film(5, 3, 0, "happiness", view=SMALL, difficulty=0, fps=60)
    assert np.abs(other[truth.onset].astype(int) - clips[0][0][0]).mean() > 8


def test_nuisances_know_nothing_of_the_label():
    still = dataclasses.replace(show(), seconds=0.3)
    entropy = np.random.SeedSequence(7, spawn_key=(2, 1, 4))
    first, _ = render_clip(person(5, 1), still, SMALL, Nuisances(entropy), fps=60)
    again, _ = render_clip(person(5, 1), dataclasses.replace(still, emotion="fear"), SMALL, Nuisances(entropy), fps=60)
    np.testing.assert_array_equal(first, again)
    assert Nuisances(entropy).pose(SMALL, 0.0) == pytest.approx(np.eye(2, 3), abs=1e-12)
    assert np.abs(Nuisances(entropy).pose(SMALL, 0.2) - np.eye(2, 3)).max() > 1e-3
    assert not Nuisances(entropy).stray_course(0.0).any()


def test_amplitudes_are_a_micro_expressions():
    peaks = []
    for number, emotion in itertools.product(range(12), ("happiness", "disgust", "surprise", "others")):
        performance = perform(np.random.default_rng([number, 1]), emotion)
        assert 0.12 <= performance.seconds <= 0.5
        onset, apex, offset, count = timing(performance, 200)
        assert 24 <= offset - onset <= 100
        assert 0 < onset < apex < offset < count - 1
        _, truth = render_clip(person(1, 1), performance, SMALL, quiet(), fps=10)
        full = sum(np.float32(move.peak) for move in performance.moves) / len(performance.moves) * FULL.unit
        peaks.append(full)
        assert np.linalg.norm(truth.displacement, axis=-1).max() <= 7 * SMALL.unit / FULL.unit
    assert 0.5 < min(peaks) < 1.6
    assert 2.5 < max(peaks) < 6
    assert 1.2 < np.median(peaks) < 3.2


def test_an_expression_rises_holds_and_decays():
    time = np.linspace(-0.5, 1.5, 401)
    course = profile(time, 0.4, 0.2)
    assert not course[(time <= 0) | (time >= 1)].any()
    assert course[np.abs(time - 0.4) < 0.04] == pytest.approx(1)
    assert (np.diff(course[time <= 0.4]) >= 0).all()
    assert (np.diff(course[time >= 0.4]) <= 0).all()


def what_it_shows(units: set[int]) -> str:
    """A decision list, written from the coding tables and not from the prototypes' cores."""
    if units & {9, 10}:
        return "disgust"
    if 20 in units:
        return "fear"
    if 2 in units:
        return "surprise"
    if 1 in units:
        return "sadness"
    if units & {15, 17}:
        return "repression"
    return "happiness" if 12 in units else "others"


@pytest.mark.parametrize("difficulty", [0.0, 1.0, 3.0])
def test_an_incomplete_expression_still_shows_its_emotion(difficulty):
    words = ("happiness", "disgust", "repression", "surprise", "sadness", "fear", "others")
    for emotion, number in itertools.product(words, range(80)):
        performance = perform(np.random.default_rng(number), emotion, difficulty=difficulty)
        units = {move.unit for move in performance.moves}
        assert what_it_shows(units) == emotion
        if not difficulty:
            assert tuple(sorted(units)) in {tuple(sorted(way)) for way in PROTOTYPES[emotion].ways}


def test_difficulty_buries_the_signal():
    ratios = []
    for difficulty in (0.25, 0.5, 1.0, 2.0):
        signal = noise = 0.0
        for number in range(4):
            performance = perform(np.random.default_rng([number, 9]), "surprise", difficulty=difficulty)
            nuisances = Nuisances(np.random.SeedSequence([number, 8]), difficulty=difficulty)
            shown, truth = render_clip(person(1, 1), performance, SMALL, nuisances, fps=30)
            still, _ = render_clip(person(1, 1), dataclasses.replace(performance, moves=()), SMALL, nuisances, fps=30)
            signal += np.square(shown[truth.apex].astype(float) - still[truth.apex]).mean()
            noise += np.square(still[truth.apex].astype(float) - still[truth.onset]).mean()
        ratios.append(signal / noise)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 30 * ratios[-1]
    entropy = np.random.SeedSequence(3)
    drift = [np.abs(Nuisances(entropy, difficulty=d).pose(FULL, 0.2) - np.eye(2, 3)).max() for d in (0.5, 1.0, 2.0)]
    assert drift[2] > 1.8 * drift[1] > 3 * drift[0] > 0
    flat = np.full((85, 70, 3), 128, np.float32)
    grain = [Nuisances(entropy, difficulty=d).develop(flat, SMALL, 0, 0.0).std() for d in (0.0, 1.0, 2.0)]
    assert grain[0] == 0
    assert grain[1] == pytest.approx(1.0, rel=0.3)
    assert grain[2] == pytest.approx(2 * grain[1], rel=0.05)


def test_a_blink_closes_the_eyes():
    blinking = next(
        n for k in range(50) if (n := Nuisances(np.random.SeedSequence(k))).blink(np.linspace(0, 0.4, 99)).max() == 1
    )
    blinking.difficulty = 0.0  # the blink alone
    who = dataclasses.replace(person(1, 1), glasses=False)
    frames, truth = render_clip(who, show(seconds=0.5), FULL, blinking, fps=100)
    assert truth.blinks
    course = blinking.blink((np.arange(len(frames)) - truth.onset) / 100)
    shut = frames[int(course.argmax())]
    for side in "LR":
        x, y = np.round(FULL.pixels(who.landmark("pupil", side))).astype(int)
        assert portrait(who, FULL).face[SUPERSAMPLE * y, SUPERSAMPLE * x].mean() < 60
        assert shut[y, x].mean() > 90
    np.testing.assert_array_equal(shut[250:], frames[truth.onset][250:])


def test_a_bigger_picture_shows_the_same_person():
    who = person(2, 4)
    big, small = (portrait(who, View.cropped(size)).face for size in ((170, 140), (85, 70)))
    shrunk = cv2.resize(big, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    field = Noise([1]).field(*SMALL.grid(), 0.1)
    np.testing.assert_allclose(Noise([1]).field(*SMALL.scaled(3).grid(), 0.1)[1::3, 1::3], field, atol=0.15)
    detail = [picture - cv2.GaussianBlur(picture, (0, 0), 3) for picture in (shrunk, small)]
    assert np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1] > 0.9


def test_grey_frames_have_equal_channels():
    frames, _ = film(0, 1, 0, "happiness", view=SMALL, fps=30, grey=True)
    assert frames.dtype == np.uint8
    assert frames.shape[1:] == (85, 70, 3)
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])


def test_two_emotions_at_once_show_both():
    for number in range(20):
        units = {move.unit for move in perform(np.random.default_rng(number), "surprise+happiness", difficulty=2).moves}
        assert {2, 12} <= units


def test_an_ambiguous_expression_shows_what_others_show_too():
    label = {word: PAPER4.mapping["*"][word] for word in SHARED}
    for emotion, way in ((emotion, way) for emotion, ways in SHARED.items() for way in ways):
        assert any(way in ways for word, ways in SHARED.items() if label[word] != label[emotion]), (emotion, way)
    shown = [perform(np.random.default_rng(n), "happiness", ambiguity=0.4) for n in range(400)]
    units = [tuple(sorted({move.unit for move in one.moves})) for one in shown]
    assert 0.3 < np.mean([one in SHARED["happiness"] for one in units]) < 0.55
    plain = [perform(np.random.default_rng(n), "happiness") for n in range(400)]
    assert all(12 in {move.unit for move in one.moves} for one in plain)


def test_the_apex_error_moves_what_is_annotated_and_not_what_is_shown():
    layout = LAYOUTS["casme2"]
    takes = plan(0, layout, 6, 10)
    exact, blurred = (
        [entry for _, entry in annotate(layout, takes, 0, Difficulty(apex_error=error))] for error in (0, 0.1)
    )
    slips = []
    for a, b in zip(exact, blurred, strict=True):
        assert (a.onset, a.offset, a.first, a.last) == (b.onset, b.offset, b.first, b.last)
        assert b.apex is None or b.onset < b.apex < b.offset
        if a.apex is not None:
            slips.append((b.apex - a.apex) / (a.offset - a.onset))
    assert 0.07 < np.std(slips) < 0.13


def test_blinks_have_a_knob_of_their_own():
    def share(**options):
        times = np.linspace(0, 0.5, 50)
        return np.mean([Nuisances(np.random.SeedSequence(k), **options).blink(times).any() for k in range(300)])

    assert share(blinks=0.0) == 0
    assert share(difficulty=0.5, blinks=4.0) > 2 * share(difficulty=1.0)


@pytest.mark.parametrize("cause", ["expression", "style", "recording", "blinks", "ambiguity", "apex_error"])
def test_causes_of_difficulty_have_bounds(cause):
    with pytest.raises(InputError, match=cause):
        Difficulty(**{cause: 11})
    with pytest.raises(InputError, match=cause):
        Difficulty(**{cause: -1})


def test_filming_needs_no_spreadsheets():
    program = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from affnet_tf.datasets.synthetic import film\n"
        "print(film(0, 1, 0, 'happiness', fps=30)[0].shape[1:])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "(340, 280, 3)"

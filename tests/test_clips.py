"""The clip table and its rules."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import layouts
import pytest

from affnet_tf.datasets.clips import Clip, Problem, read_clips_csv, validate_clips, write_clips_csv
from affnet_tf.errors import InputError


def clip(folder: Path, **changes) -> Clip:
    base = Clip("casme2", "sub04", "sub04/EP12_01f", folder, 10, 15, "disgust", apex=12, fps=200.0, aus=("4", "7B"))
    return dataclasses.replace(base, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layouts.write_frames(tmp_path / "frames", "img{}.jpg", 8, 16)
    return tmp_path / "frames"


def test_a_sound_clip_has_no_problem(folder):
    assert validate_clips([clip(folder)]) == []


@pytest.mark.parametrize(
    ("changes", "rule", "value", "severity"),
    [
        ({"apex": 16}, "apex must lie in [10, 15]", "16", "error"),
        ({"apex": 9}, "apex must lie in [10, 15]", "9", "error"),
        ({"onset": 15, "offset": 10, "apex": None}, "onset must not come after offset", "15 > 10", "error"),
        ({"offset": 10, "apex": 10}, "clip must have at least 2 frames", "onset = offset = 10", "error"),
        ({"fps": 0.0}, "fps must be positive", "0.0", "error"),
        ({"fps": float("nan")}, "fps must be positive", "nan", "error"),
        ({"subject": ""}, "subject must have a name", "''", "error"),
        ({"offset": None}, "offset must be a frame number", "None", "error"),
        ({"dataset": "mine", "emotion": ""}, "emotion must have a name", "''", "error"),
    ],
)
def test_each_rule(folder, changes, rule, value, severity):
    broken = clip(folder, **changes)
    assert validate_clips([broken]) == [Problem(broken.dataset, broken.clip_id, rule, value, severity)]


def test_unknown_emotion_names_the_vocabulary(folder):
    (problem,) = validate_clips([clip(folder, emotion="joy")])
    assert problem.rule.startswith("emotion must be one of happiness, disgust")
    assert problem.value == "'joy'"
    assert validate_clips([clip(folder, dataset="mine", emotion="joy")]) == []


@pytest.mark.parametrize(("onset", "offset"), [(7, 15), (10, 17), (100, 120)])
def test_frames_must_cover_the_clip(folder, onset, offset):
    (problem,) = validate_clips([clip(folder, onset=onset, offset=offset, apex=None)])
    assert problem.severity == "error"
    assert problem.rule == f"frames must cover onset..offset, {onset}..{offset}"
    assert "holds 8..16" in problem.value


def test_holes_and_empty_files(folder):
    for number in (11, 13, 14):
        (folder / f"img{number}.jpg").unlink()
    (folder / "img12.jpg").write_bytes(b"")
    (folder / "img16.jpg").write_bytes(b"")  # outside the clip
    hole, empty = validate_clips([clip(folder)])
    assert (hole.severity, hole.value) == ("warning", "3 missing: 11, 13..14")
    assert (empty.severity, empty.value) == ("error", "1 with 0 bytes: img12.jpg")


def test_folder_absent_empty_or_ambiguous(folder, tmp_path):
    (tmp_path / "none").mkdir()
    layouts.write_frames(tmp_path / "twice", "img{}.jpg", 10, 15)
    layouts.write_frames(tmp_path / "twice", "img{:03d}.jpg", 10, 10)
    rules = [validate_clips([clip(tmp_path / name)])[0].rule for name in ("gone", "none", "twice")]
    assert rules[0] == "frame folder must exist"
    assert rules[1] == "frame folder must hold numbered images"
    assert rules[2].startswith("frame numbers in")


def test_every_problem_is_listed_at_once(folder, tmp_path):
    clips = [
        clip(folder, apex=99, emotion="joy"),
        clip(tmp_path / "gone"),
        clip(folder, dataset="casme", emotion="disgust"),
    ]
    problems = validate_clips(clips)
    assert len(problems) == 4  # emotion, apex; duplicate id, folder; the clip of another dataset is sound
    assert {problem.dataset for problem in problems} == {"casme2"}
    duplicate = [problem for problem in problems if "unique" in problem.rule]
    assert [problem.value for problem in duplicate] == ["2 clips"]
    line = "casme2 clip 'sub04/EP12_01f': apex must lie in [10, 15]. Received: 99"
    assert line in [str(problem) for problem in problems]


def test_videos_and_motion_images(tmp_path):
    (tmp_path / "a.MP4").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(layouts.picture(".png"))
    (tmp_path / "empty.avi").write_bytes(b"")
    video, image = (
        clip(tmp_path / "a.MP4", onset=0, offset=None, apex=None),
        clip(tmp_path / "b.png", onset=0, offset=0),
    )
    assert (video.kind, image.kind, clip(tmp_path).kind) == ("video", "image", "folder")
    assert validate_clips([video]) == validate_clips([image]) == []
    for name, rule in (
        ("empty.avi", "video file must not be empty"),
        ("gone.mp4", "video file must be a file"),
        ("gone.png", "motion image must be a file"),
    ):
        assert [problem.rule for problem in validate_clips([clip(tmp_path / name)])] == [rule]


def test_csv_round_trip(folder, tmp_path):
    clips = [
        clip(folder),
        clip(folder, clip_id='a "quoted", one', apex=None, fps=None, aus=("L12 or L14",)),
        clip(tmp_path / "v.mp4", clip_id="é", onset=0, offset=None, apex=None, aus=()),
        clip(Path("/elsewhere/frames"), clip_id="outside"),
    ]
    write_clips_csv(clips, tmp_path / "clips.csv")
    assert read_clips_csv(tmp_path / "clips.csv") == clips
    assert "frames,casme2,sub04,sub04/EP12_01f,10,12,15,200.0,disgust,4;7B" in (tmp_path / "clips.csv").read_text()
    with open(tmp_path / "clips.csv", newline="") as file:
        assert read_clips_csv(file, tmp_path) == clips


def test_csv_errors(tmp_path):
    with pytest.raises(InputError, match="must exist"):
        read_clips_csv(tmp_path / "gone.csv")
    (tmp_path / "few.csv").write_text("path,subject\na,b\n")
    with pytest.raises(InputError, match="Missing: dataset, clip_id"):
        read_clips_csv(tmp_path / "few.csv")
    write_clips_csv([clip(tmp_path, onset="ten")], tmp_path / "bad.csv")
    with pytest.raises(InputError, match=r"line 2 must hold a clip.*'ten'"):
        read_clips_csv(tmp_path / "bad.csv")


def test_a_full_dataset_is_checked_quickly(tmp_path):
    rows = layouts.casme2_full_rows()
    clips = []
    for subject, filename, _, onset, _, offset, *_ in rows:
        frames = tmp_path / f"sub{subject}" / filename
        frames.mkdir(parents=True)
        for number in range(onset, offset + 1):
            (frames / f"img{number}.jpg").touch()
            if number in (onset, offset):
                (frames / f"img{number}.jpg").write_bytes(b"x")
        clips.append(Clip("casme2", f"sub{subject}", f"sub{subject}/{filename}", frames, onset, offset, "others"))
    start = time.perf_counter()
    problems = validate_clips(clips)
    assert time.perf_counter() - start < 5
    assert len(problems) == 255  # every clip has 0-byte frames, and nothing else is wrong
    assert sum(clip.offset - clip.onset + 1 for clip in clips) > 15_000

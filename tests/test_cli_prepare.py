"""``affnet prepare`` of clips that are damaged or annotated wrongly: what it reports, and what ``--strict`` refuses."""

import pytest
from command_line import EMOTIONS, affnet, write_clips, write_rows

from affnet_tf.pipeline.store import open_store


@pytest.fixture
def people(tmp_path):
    write_clips(tmp_path / "people", subjects=2)
    return tmp_path / "people"


def truncated(people):
    image = people / "Cropped" / "sub01" / "EP01" / "reg_img5.png"
    image.write_bytes(image.read_bytes()[:100])
    return "image must be whole"


def unreadable(people):
    (people / "Cropped" / "sub01" / "EP01" / "reg_img5.png").write_bytes(b"this is no picture, whatever its name says")
    return "image must be readable"


def change_row(people, **cells):
    rows = [(f"{s:02d}", f"EP{n:02d}", None, 3, 5, 9, None, "4", e) for s in (1, 2) for n, e in enumerate(EMOTIONS)]
    row = dict(zip(("subject", "name", "_", "onset", "apex", "offset", "__", "aus", "emotion"), rows[1], strict=True))
    rows[1] = tuple({**row, **cells}.values())
    write_rows(people, rows)


def not_covered(people):
    change_row(people, offset=12)
    return "frames must cover onset..offset, 3..12"


def apex_outside(people):
    change_row(people, apex=11)
    return "apex must lie in [3, 9]"


def unknown_emotion(people):
    change_row(people, emotion="bliss")
    return "emotion must be one of"


def twice(people):
    change_row(people, name="EP00")
    return "clip id must be unique"


@pytest.mark.parametrize("harm", [truncated, unreadable, not_covered, apex_outside, unknown_emotion, twice])
def test_a_broken_clip_is_reported_or_with_strict_refused(harm, people, tmp_path, fails, capsys):
    rule = harm(people)
    words = ("prepare", "casme2", people, tmp_path / "store", "--size", 40, "--workers", 1)
    line = fails(*words, "--strict", "--quiet")
    assert rule in line
    assert "sub01/EP0" in line
    assert [path.name for path in tmp_path.iterdir()] == ["people"]
    assert affnet(*words) == 1
    _, err = capsys.readouterr()
    skipped = [line for line in err.splitlines() if line.startswith("skipped: ")]
    assert rule in skipped[0]
    stored = len(open_store(tmp_path / "store").clips)
    assert stored == 8 - len({line.split("'")[1] for line in skipped}) - (harm is twice)
    assert not list(tmp_path.rglob("*.part"))


def test_no_clip_that_can_be_used_leaves_nothing(people, tmp_path, fails):
    for image in people.rglob("*.png"):
        image.write_bytes(image.read_bytes()[:100])
    line = fails("prepare", "casme2", people, tmp_path / "store", "--workers", 1, "--quiet")
    assert "no clip of casme2 could be used" in line
    assert [path.name for path in tmp_path.iterdir()] == ["people"]

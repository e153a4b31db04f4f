"""Frames in the right order, whole, in RGB; or one line that says what is wrong."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from affnet_tf.errors import InputError
from affnet_tf.imaging.frames import (
    frame_numbers,
    frame_range,
    is_video,
    iterate_frames,
    load_frames,
    read_image,
    video_info,
)


def flat(value: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def write_folder(folder: Path, numbers: list[int], name: str = "img{}.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), flat(number % 256))
    return folder


def write_video(
    path: Path, count: int, fps: float = 25.0, codec: str = "MJPG", size: tuple[int, int] = (48, 64)
) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size[::-1])
    assert writer.isOpened()
    for index in range(count):
        writer.write(flat(10 * index % 256, size))
    writer.release()
    return path


def shades(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean())) for frame in frames]


def message(function, *arguments, **options) -> str:
    with pytest.raises(InputError) as error:
        list(function(*arguments, **options))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folder_is_ordered_by_number_not_by_text(tmp_path):
    folder = write_folder(tmp_path, [8, 9, 10, 11, 100, 99, *range(12, 99)])
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "notes7.txt").write_text("x")
    frames = load_frames(folder)
    assert frames.shape == (93, 24, 32, 3)
    assert frames.dtype == np.uint8
    assert shades(frames) == list(range(8, 101))


def test_start_and_end_are_inclusive_numbers(tmp_path):
    folder = write_folder(tmp_path, list(range(46, 60)), "reg_EP01_5-{}.png")
    assert shades(load_frames(folder, 47, 50)) == [47, 48, 49, 50]
    assert shades(load_frames(folder, 57)) == [57, 58, 59]
    assert shades(load_frames(folder, end=46)) == [46]
    assert list(frame_numbers(folder, 47, 50)) == [47, 48, 49, 50]


def test_list_is_ordered_by_number(tmp_path):
    folder = write_folder(tmp_path, [9, 10, 11], "f_{}.jpg.png")
    paths = [folder / f"f_{number}.jpg.png" for number in (11, 9, 10)]
    assert shades(load_frames(paths)) == [9, 10, 11]
    assert "unique" in message(load_frames, [*paths, paths[0]])
    assert "number in its name" in message(load_frames, [folder / "face.png"])
    assert "empty" in message(load_frames, [])


def test_a_whole_folder_may_hold_every_nth_frame_but_no_other_gap(tmp_path):
    folder = write_folder(tmp_path, [5, 10, 15, 20])
    assert shades(load_frames(folder)) == [5, 10, 15, 20]
    assert "Missing 12: 6, 7, 8, 9, 11, …" in message(load_frames, folder, 5, 20)
    (folder / "img10.png").unlink()
    assert "Missing 1: 10" in message(load_frames, folder)


def test_time_stamps_as_numbers_do_not_hang(tmp_path):
    folder = write_folder(tmp_path, [20240101120000123, 20240101120000124, 20240301120000456])
    assert "Missing 200000000331: 20240101120000125," in message(load_frames, folder)


def test_missing_frames_are_named(tmp_path):
    folder = write_folder(tmp_path, [n for n in range(1, 30) if n not in (12, 13, 20)])
    text = message(load_frames, folder, 3, 25)
    assert str(folder) in text
    assert "Missing 3: 12, 13, 20" in text
    assert len(load_frames(folder, 14, 19)) == 6


def test_range_must_exist_and_not_be_turned_round(tmp_path):
    folder = write_folder(tmp_path, list(range(5, 9)))
    assert "must not come after" in message(load_frames, folder, 8, 5)
    assert "[5, 8]" in message(load_frames, folder, 4, 7)
    assert "[5, 8]" in message(load_frames, folder, 9)
    assert "[5, 8]" in message(iterate_frames, folder, end=4)


@pytest.mark.parametrize("name", ["img1.png", "img1.jpg", "img1.bmp", "img1.tif", "img1.webp"])
def test_colour_is_rgb(tmp_path, name):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 250
    cv2.imwrite(str(tmp_path / name), red)
    np.testing.assert_allclose(load_frames(tmp_path)[0].mean((0, 1)), [250, 0, 0], atol=3)


def test_grey_sixteen_bits_and_alpha(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([grey, grey // 2, grey // 4, 255 - grey]))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), np.dstack([grey // 4, grey // 2, grey]))
    cv2.imwrite(str(tmp_path / "float.tif"), grey.astype(np.float32))
    assert "float32" in message(read_image, tmp_path / "float.tif")


def test_exif_orientation_is_ignored(tmp_path):
    path = tmp_path / "img1.jpg"
    cv2.imwrite(str(path), flat(90, (20, 40)))
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # Orientation = 6: turn by 90 degrees
    body = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:])
    assert cv2.imread(str(path)).shape == (40, 20, 3)
    assert read_image(path).shape == (20, 40, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("kept", [0.03, 0.5, 0.97])
def test_truncated_image(tmp_path, suffix, kept, capfd):
    path = tmp_path / f"img1{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert str(path) in message(load_frames, tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("thumbnail", [False, True])
def test_jpeg_whose_tail_was_never_written(tmp_path, thumbnail):
    """A copy that broke off into a preallocated file: the decoder returns a picture, grey at the bottom."""
    path = tmp_path / "img1.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    if thumbnail:  # an APP1 segment that holds a whole JPEG, end marker and all
        small = cv2.imencode(".jpg", flat(9))[1].tobytes()
        data = data[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + data[2:]
    path.write_bytes(data)
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(data + b"trailer of a camera" * 9)
    assert read_image(path).shape == (64, 64, 3)
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(half))
    assert "breaks off" in message(read_image, path)


def test_bytes_that_are_no_image(tmp_path, capfd):
    (tmp_path / "img1.jpg").write_bytes(b"")
    assert "0 bytes" in message(load_frames, tmp_path)
    (tmp_path / "img1.jpg").write_bytes(b"hello, I am text")
    assert "img1.jpg" in message(load_frames, tmp_path)
    assert "readable" in message(read_image, tmp_path / "absent.jpg")
    assert capfd.readouterr() == ("", "")


def test_mixed_sizes(tmp_path):
    write_folder(tmp_path, [1, 2, 3])
    cv2.imwrite(str(tmp_path / "img2.png"), flat(0, (24, 33)))
    text = message(load_frames, tmp_path)
    assert "img2.png" in text
    assert "33x24" in text
    assert "32x24" in text


def test_paths_that_hold_no_clip(tmp_path):
    assert "exist" in message(load_frames, tmp_path / "absent")
    assert "number" in message(load_frames, tmp_path)
    (tmp_path / "face.png").write_bytes(b"x")
    assert "number" in message(load_frames, tmp_path)
    assert "not one image" in message(load_frames, tmp_path / "face.png")


def test_memory_limit_is_an_error_not_a_crash(tmp_path):
    folder = write_folder(tmp_path, [1, 2, 3])
    assert len(load_frames(folder, max_bytes=3 * 24 * 32 * 3)) == 3
    assert "3 frames of 32x24" in message(load_frames, folder, max_bytes=3 * 24 * 32 * 3 - 1)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("A.MKV", "MJPG")])
def test_video(tmp_path, name, codec):
    path = write_video(tmp_path / name, 20, codec=codec)
    assert is_video(path)
    info = video_info(path)
    assert (info.frames, info.fps, info.height, info.width) == (20, 25.0, 48, 64)
    frames = load_frames(path)
    assert frames.shape == (20, 48, 64, 3)
    np.testing.assert_allclose(shades(frames), np.arange(20) * 10, atol=4)
    np.testing.assert_array_equal(load_frames(path, 7, 9), frames[7:10])
    np.testing.assert_array_equal(load_frames(path, 18), frames[18:])
    np.testing.assert_array_equal(np.stack(list(iterate_frames(path, end=2))), frames[:3])
    assert list(frame_numbers(path, 7, 9)) == [7, 8, 9]
    assert "[0, 19]" in message(load_frames, path, 15, 20)
    assert "must not come after" in message(load_frames, path, 9, 8)


def test_video_colour_is_rgb(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 250), np.uint8))
    writer.release()
    np.testing.assert_allclose(load_frames(tmp_path / "a.avi")[0].mean((0, 1)), [250, 0, 0], atol=6)


@pytest.mark.parametrize("name", ["talk.mp4", "talk.avi", "talk", "take001.txt"])
def test_text_named_as_a_video(tmp_path, name, capfd):
    path = tmp_path / name
    path.write_text("this is not a video\n" * 50)
    for function in (load_frames, iterate_frames):
        assert str(path) in message(function, path)
    assert is_video(path) == name.startswith("talk.")
    assert capfd.readouterr() == ("", "")


def test_text_named_as_a_video_is_silent_in_a_fresh_process(tmp_path):
    """FFmpeg's own chatter is decided once a process, so a test within this one can't see it."""
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + b"no atoms here" * 50)
    code = (
        "import sys; from affnet_tf.imaging import frames\n"
        "try: frames.video_info(sys.argv[1])\n"
        "except ValueError: print('!')"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("!\n", "")


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_video_without_frames(tmp_path, name, codec):
    assert name in message(load_frames, write_video(tmp_path / name, 0, codec=codec))


def test_video_that_breaks_off(tmp_path, capfd):
    path = write_video(tmp_path / "a.avi", 40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "of 40 frames" in message(load_frames, path)
    assert capfd.readouterr() == ("", "")


def test_video_longer_than_its_header_says(tmp_path):
    path = write_video(tmp_path / "a.avi", 40)
    data = bytearray(path.read_bytes())
    for box, offset in ((b"avih", 16), (b"strh", 32)):
        at = data.index(box) + 8 + offset
        assert int.from_bytes(data[at : at + 4], "little") == 40
        data[at : at + 4] = (5).to_bytes(4, "little")
    path.write_bytes(data)
    assert video_info(path).frames == 5
    np.testing.assert_allclose(shades(load_frames(path)), np.arange(40) * 10 % 256, atol=6)


def test_mp4_whose_end_is_missing(tmp_path):
    """With its table of frames in front (as on the web), a cut MP4 still announces every frame."""
    path = write_video(tmp_path / "a.mp4", 40, codec="mp4v", size=(96, 128))
    path.write_bytes(moov_first(path.read_bytes()))
    assert len(load_frames(path)) == 40
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    assert video_info(path).frames == 40
    text = message(load_frames, path)
    assert "breaks off after" in text
    readable = int(text.split("breaks off after ")[1].split()[0])
    assert 0 < readable < 40
    assert len(load_frames(path, 0, readable - 1)) == readable
    assert "breaks off" in message(load_frames, path, 0, readable)


def moov_first(data: bytes) -> bytes:
    """Move an MP4's ``moov`` box before ``mdat`` and shift its 32-bit chunk offsets."""
    boxes, position = {}, 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        boxes[data[position + 4 : position + 8]] = data[position : position + size]
        position += size
    moov = bytearray(boxes[b"moov"])
    table = moov.index(b"stco") + 8
    for index in range(int.from_bytes(moov[table : table + 4], "big")):
        at = slice(table + 4 + 4 * index, table + 8 + 4 * index)
        moov[at] = (int.from_bytes(moov[at], "big") + len(moov)).to_bytes(4, "big")
    return boxes[b"ftyp"] + bytes(moov) + boxes.get(b"free", b"") + boxes[b"mdat"]


def test_seconds_of_a_video(tmp_path):
    path = write_video(tmp_path / "a.avi", 50, fps=25.0)  # 2 seconds
    assert frame_range(path) == (None, None)
    assert frame_range(path, 0.4) == (10, None)
    assert frame_range(path, 0.44, 0.99) == (11, 24)  # 0.44 s * 25 fps = 11; frame 24 shows from 0.96 s
    assert frame_range(path, 0, 2) == (0, 49)
    assert frame_range(path, 0.28, 0.28) == (7, 7)  # 0.28 * 25 = 7.000000000000001
    assert frame_range(path, 1.16, None) == (29, None)  # 1.16 * 25 = 28.999999999999996
    assert "[0, 2.000]" in message(frame_range, path, 0, 2.5)
    assert "after end" in message(frame_range, path, 1.0, 0.5)
    assert "at least 0" in message(frame_range, path, -1.0)
    assert "at least 0" in message(frame_range, path, float("nan"))


def test_frame_numbers_of_a_folder_are_not_seconds(tmp_path):
    folder = write_folder(tmp_path, [46, 47, 48])
    assert frame_range(folder, 46.0, 47) == (46, 47)
    assert "whole frame numbers" in message(frame_range, folder, 0.5, 47)


def test_streaming_takes_the_memory_of_a_frame(tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(60):
        cv2.imwrite(str(folder / f"{number}.bmp"), flat(number, (100, 100)))
    tracemalloc.start()
    total = sum(int(frame[0, 0, 0]) for frame in iterate_frames(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == sum(range(60))
    assert peak < 12 * 100 * 100 * 3

"""`affnet prepare` of a CASME II of full size against decoding the same frames with OpenCV and nothing else; and `inspect`.

    python benchmarks/prepare.py

Pre-cropped JPEG frames, no face detector. Decoding, like preparing, is a command of its own over two processes, and the two
take turns in one run. Synthetic noise stands in for faces (28 kB a frame, as textured crops of this size have): only time and
memory are measured here. Memory is the sum of the resident sets of a command and all its descendants, read from /proc every
10 ms; pages that they share are counted in each. `inspect` has frame files of one byte, which nobody could decode.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import openpyxl

from affnet_tf.console import Console

CLIPS, SUBJECTS, WORKERS, ROUNDS = 255, 26, 2, 3
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
TICK = 0.01


def forge(root: Path, pictures: list[bytes]) -> int:
    """CASME II's workbook and cropped frames: 255 clips of 24 to 110 frames, hard links to a few files. The number of frames."""
    rng = np.random.default_rng(0)
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    sources = [root / f"picture{i}" for i in range(len(pictures))]
    root.mkdir()
    for source, data in zip(sources, pictures, strict=True):
        source.write_bytes(data)
    frames = 0
    for number in range(CLIPS):
        length, subject = int(rng.integers(24, 111)), number % SUBJECTS + 1
        book.active.append((f"{subject:02d}", f"EP{number:03d}", 1, length // 2, length, "4", "others"))
        folder = root / "Cropped" / f"sub{subject:02d}" / f"EP{number:03d}"
        folder.mkdir(parents=True)
        for i in range(1, length + 1):
            os.link(sources[(i + number) % len(sources)], folder / f"reg_img{i}.jpg")
        frames += length
    book.save(root / "CASME2-coding-20140508.xlsx")
    return frames


def noise() -> list[bytes]:
    """Smooth noise as JPEG files of 280x340, the size of CASME II's cropped frames."""
    rng = np.random.default_rng(0)
    blurred = (cv2.GaussianBlur(rng.integers(0, 256, (340, 280, 3), dtype=np.uint8), (0, 0), 2) for _ in range(16))
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in blurred]


def decode(folder: Path) -> int:
    """Decode every frame of a clip and keep none."""
    cv2.setNumThreads(1)
    return sum(cv2.imread(str(path)) is not None for path in folder.iterdir())


def decode_all(root: Path) -> None:
    """What `decode` is run as."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        print(sum(pool.map(decode, root.glob("Cropped/*/*"))))


def run(*words: object) -> tuple[float, float]:
    """Seconds that a command takes, and the greatest sum of the resident sets of its processes, in MB."""
    start, most = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, resident(process.pid))
        time.sleep(TICK)
    assert process.returncode == 0, words
    return time.perf_counter() - start, most / 1e6


def resident(pid: int) -> int:
    """Bytes in memory of a process and its descendants; 0 for one that is gone."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return 0
    return own + sum(resident(int(child)) for child in children.split())


def main() -> None:
    measured: dict[str, list[tuple[float, float]]] = {"decode": [], "prepare": [], "again": [], "inspect": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, empty, store = folder / "casme2", folder / "one_byte", folder / "store"
        frames = forge(root, noise())
        forge(empty, [b"x"])
        prepare = ("-m", "affnet_tf", "prepare", "casme2", root, store, "--workers", WORKERS, "--quiet")
        for _ in range(ROUNDS):
            measured["decode"].append(run(__file__, "decode", root))
            measured["prepare"].append(run(*prepare))
            measured["again"].append(run(*prepare))
            measured["inspect"].append(run("-m", "affnet_tf", "inspect", "casme2", empty, "--quiet"))
            shutil.rmtree(store)
    labels = {
        "decode": "decode with OpenCV, nothing else",
        "prepare": "affnet prepare, 128×128",
        "again": "affnet prepare of the finished store",
        "inspect": "affnet inspect, frames of 1 byte",
    }
    base = statistics.median(seconds for seconds, _ in measured["decode"])
    rows = []
    for job, values in measured.items():
        seconds = statistics.median(value for value, _ in values)
        ratio = f"{base / seconds:.2f}" if job in ("decode", "prepare") else ""
        rows.append(
            (labels[job], f"{seconds:.2f}", f"{frames / seconds:.0f}", ratio, f"{max(m for _, m in values):.0f}")
        )
    title = f"CASME II, forged: {CLIPS} clips, {frames} JPEG frames of 280×340, {WORKERS} processes"
    Console().result({}, (title, ("job", "seconds", "frames/s", "ratio", "peak MB, all processes"), rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["decode"]:
        decode_all(Path(sys.argv[2]))
    else:
        main()

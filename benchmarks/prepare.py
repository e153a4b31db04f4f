"""`affnet prepare` of a CASME II of full size against decoding the same frames with OpenCV and nothing else; and `inspect`.

    python benchmarks/prepare.py

Pre-cropped JPEG frames, no face detector. Decoding, to full size and colour, and preparing, from the sheet to the store, run
over two processes each and take turns in one run; the ratio is the median over the rounds. Where other programs take a part of
the processor, the seconds of processor time, of all processes together, say more than those on the clock. Synthetic noise
stands in for faces (28 kB a frame, as textured crops of this size have): only time and memory are measured here. `inspect` has
frame files of one byte, which nobody could decode.

Memory is that of the command, started anew: the sum of the resident sets of it and all its descendants, read from /proc
every 10 ms; pages that they share are counted in each.
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
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

CLIPS, SUBJECTS, WORKERS, ROUNDS = 255, 26, 2, 5
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
TICK = 0.01


def forge(root: Path, pictures: list[bytes]) -> int:
    """CASME II's workbook and cropped frames, hard links to a few files: 255 clips of 24 to 110. How many frames."""
    import openpyxl

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


def decode_all(root: Path, frames: int) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        assert sum(pool.map(decode, root.glob("Cropped/*/*"))) == frames


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """On the clock, and of processor time: this process's and that of those that it started and that are gone."""
    start, before = time.perf_counter(), os.times()
    run()
    return time.perf_counter() - start, sum(os.times()[:4]) - sum(before[:4])


def command(*words: object) -> float:
    """Run `affnet`; the greatest sum of its processes' resident sets, in MB."""
    most = 0
    process = subprocess.Popen(
        [sys.executable, "-m", "affnet_tf", *map(str, words), "--quiet"], stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        most = max(most, resident(process.pid))
        time.sleep(TICK)
    assert process.returncode == 0, words
    return most / 1e6


def resident(pid: int) -> int:
    """Bytes in memory of a process and its descendants; 0 for one that is gone."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return 0
    return own + sum(resident(int(child)) for child in children.split())


def main() -> None:
    from affnet_tf.console import Console
    from affnet_tf.datasets.inspection import inspect_dataset
    from affnet_tf.pipeline.prepare import prepare_dataset

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, empty, store, larger = (folder / part for part in ("casme2", "one_byte", "store", "larger"))
        frames = forge(root, noise())
        forge(empty, [b"x"])
        jobs = {
            "decode": lambda: decode_all(root, frames),
            "prepare": lambda: prepare_dataset("casme2", root, store, workers=WORKERS),
            "again": lambda: prepare_dataset("casme2", root, store, workers=WORKERS),
            "whole": lambda: prepare_dataset("casme2", root, larger, workers=WORKERS, size=144),
            "inspect": lambda: inspect_dataset("casme2", empty),
        }
        times: dict[str, list[tuple[float, float]]] = {job: [] for job in jobs}
        for _ in range(ROUNDS):
            for job, run in jobs.items():
                times[job].append(seconds(run))
            for made in (store, larger):
                shutil.rmtree(made)
        memory = {
            "prepare": command("prepare", "casme2", root, store, "--workers", WORKERS),
            "again": command("prepare", "casme2", root, store, "--workers", WORKERS),
            "inspect": command("inspect", "casme2", empty),
        }
    labels = {
        "decode": "decode with OpenCV, nothing else",
        "prepare": "affnet prepare, 128×128 (decoded at a half)",
        "again": "affnet prepare of a finished store",
        "whole": "affnet prepare, 144×144 (decoded whole)",
        "inspect": "affnet inspect",
    }
    rows = []
    for job, values in times.items():
        clock, processor = (statistics.median(column) for column in zip(*values, strict=True))
        ratios = [
            statistics.median(base[i] / value[i] for base, value in zip(times["decode"], values, strict=True))
            for i in range(2)
        ]
        shown = [f"{ratio:.2f}" for ratio in ratios] if job in ("decode", "prepare", "whole") else ["", ""]
        peak = f"{memory[job]:.0f}" if job in memory else ""
        rows.append(
            (labels[job], f"{clock:.2f}", f"{frames / clock:.0f}", shown[0], f"{processor:.2f}", shown[1], peak)
        )
    title = f"A forged CASME II: {CLIPS} clips, {frames} JPEG frames of 280×340, {WORKERS} processes, {ROUNDS} rounds"
    columns = ("job", "seconds", "frames/s", "ratio", "processor seconds", "ratio", "peak MB")
    Console().result({}, (title, columns, rows))


if __name__ == "__main__":
    main()

"""Clips of nobody: small frame folders whose brightness moves where the emotion says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from affnet_tf.datasets.clips import Clip

EMOTIONS = ("happiness", "disgust", "surprise", "others")
SIZE = 32


def forge_clips(
    root: Path, subjects: int = 2, clips: int = 4, size: int = SIZE, seed: int = 0, first: int = 9
) -> list[Clip]:
    """Write frame folders of PNGs and return their clips, in CASME II's words; frames are numbered from ``first``."""
    rng = np.random.default_rng(seed)
    made = []
    for subject in range(1, subjects + 1):
        face = cv2.GaussianBlur(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 2).astype(np.float64)
        for number in range(clips):
            name = f"sub{subject:02d}/EP{number:02d}"
            frames = forge_frames(rng, face, number % len(EMOTIONS), int(rng.integers(4, 9)))
            folder = root / name
            folder.mkdir(parents=True)
            for i, frame in enumerate(frames):
                cv2.imwrite(str(folder / f"img{first + i}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            last = first + len(frames) - 1
            emotion = EMOTIONS[number % len(EMOTIONS)]
            made.append(
                Clip("casme2", f"sub{subject:02d}", name, folder, first, last, emotion, first + 1, 200.0, ("4", "L12"))
            )
    return made


def forge_frames(rng: np.random.Generator, face: np.ndarray, quarter: int, length: int) -> np.ndarray:
    """uint8 RGB (T, S, S, 3): one quarter of the face grows brighter, over a little noise."""
    side = face.shape[0]
    spot = np.zeros((side, side, 1))
    half = side // 2
    spot[half * (quarter // 2) :, half * (quarter % 2) :][:half, :half] = 60
    ramp = np.linspace(0, 1, length)[:, None, None, None]
    return np.clip(face * 0.6 + 20 + ramp * spot + rng.normal(0, 1, (length, *face.shape)), 0, 255).astype(np.uint8)

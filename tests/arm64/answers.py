"""What every file of a bundle answers to the same questions on the machine that this runs on. Needs the runtime alone.

python tests/arm64/answers.py BUNDLE QUESTIONS.npz ANSWERS.npz
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np

from affnet_tf.inference.runtime import MODEL_FILE, TFLiteModel


def answer(folder: Path, questions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Probabilities (N, classes) by signature, and the motion images that ``classify_clip`` made."""
    model = TFLiteModel(folder)
    answers = {"classify": np.stack([model.classify(image) for image in questions["images"]])}
    if model.frame_size is not None:
        clips = [questions[name] for name in sorted(questions) if name.startswith("clip")]
        pairs = [model.classify_clip(clip) for clip in clips]
        answers["classify_clip"] = np.stack([probabilities for probabilities, _ in pairs])
        answers["motion_image"] = np.stack([image for _, image in pairs])
    return answers


def main(bundle: str, questions: str, out: str) -> None:
    """Ask every recipe's file, and write down the answers and the processor."""
    with np.load(questions, allow_pickle=False) as file:
        asked = dict(file)
    found = {"machine": np.array(platform.machine())}
    for model in sorted(Path(bundle).glob(f"*/{MODEL_FILE}")):
        for name, values in answer(model.parent, asked).items():
            found[f"{model.parent.name}/{name}"] = values
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

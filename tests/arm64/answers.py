"""What every file of a bundle answers to the same questions on the machine that this runs on. Needs the runtime alone.

python tests/arm64/answers.py BUNDLE QUESTIONS.npz ANSWERS.npz
"""

from __future__ import annotations

import platform
import sys
import warnings
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from affnet_tf.inference.reverify import in_window
from affnet_tf.inference.runtime import CLASSIFY, MODEL_FILE, MOTION_IMAGE, PROBABILITIES, TFLiteModel


def answer(folder: Path, questions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Probabilities (N, classes) by signature, the motion images behind them, the stream's state, and integer logits."""
    model = TFLiteModel(folder)
    answers = {"classify": np.stack([model.classify(image) for image in questions["images"]])}
    if model.signatures[CLASSIFY].outputs[PROBABILITIES].scale:
        answers["logits"] = logits(model, questions["images"])
    if model.frame_size is not None:
        clips = [questions[name] for name in sorted(questions) if name.startswith("clip")]
        pairs = [model.classify_clip(clip) for clip in clips]
        answers["classify_clip"] = np.stack([probabilities for probabilities, _ in pairs])
        answers["motion_image"] = np.stack([image for _, image in pairs])
        states = [streamed(model, clip) for clip in clips]
        pairs = [model.classify_state(state) for state in states]
        answers["state"] = np.stack([np.concatenate([each.ravel() for each in state.values()]) for state in states])
        answers["classify_state"] = np.stack([probabilities for probabilities, _ in pairs])
        answers["state_image"] = np.stack([image for _, image in pairs])
    return answers


def streamed(model: TFLiteModel, clip: np.ndarray) -> dict[str, np.ndarray]:
    """The state after a clip's frames, as many as the window has and two more, came in one by one."""
    state = model.new_state()
    for frame in in_window(clip, model.window + 2):
        state = model.update(frame, state)
    return dict(sorted(state.items()))


def logits(model: TFLiteModel, images: np.ndarray) -> np.ndarray:
    """The integers (N, classes) that the softmax of ``classify`` takes, in a file with integers in and out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all tensors take memory
        interpreter = Interpreter(str(model.path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    # The runtime lists the operators of the first graph, which is that of ``classify``.
    (softmax,) = (each for each in interpreter._get_ops_details() if each["op_name"] == "SOFTMAX")
    found = []
    for image in images:
        stored = model.signatures[CLASSIFY].inputs[MOTION_IMAGE].quantise(image[None])
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored)
        interpreter.invoke()
        found.append(interpreter.get_tensor(softmax["inputs"][0])[0])
    return np.stack(found)


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

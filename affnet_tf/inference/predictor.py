"""Frames, a video or a motion image in, probabilities out: from a checkpoint or from an exported file, alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.files import IMAGE_SUFFIXES, write_json
from affnet_tf.inference.runtime import TFLiteModel, is_bundle

__all__ = ["PathPrediction", "Prediction", "Predictor", "load_predictor", "predict_file", "predict_path"]

# An exported graph keeps a float32 copy of all frames; beyond this many they are pooled outside, frame by frame.
LONG_CLIP = 512
# Micro-expressions last under 0.5 s; of a second or more, most is something else.
LONG_SECONDS = 1.0
SHOWN_FRAMES = 5
PREDICTION_FILE, PICTURE_FILE = "prediction.json", "prediction.png"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network says about a clip.

    Attributes:
        labels: name of each class.
        probabilities: float32 (classes,), in the order of ``labels``.
        motion_image: float32 (S, S, 3) in [0, 1], what the network saw.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray
    motion_image: np.ndarray

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.labels[int(np.argmax(self.probabilities))]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(np.max(self.probabilities))

    def to_json(self) -> dict[str, Any]:
        """Label, confidence and all probabilities; without the picture."""
        probabilities = {label: float(p) for label, p in zip(self.labels, self.probabilities, strict=True)}
        return {"label": self.label, "confidence": self.confidence, "probabilities": probabilities}


@dataclasses.dataclass(frozen=True)
class PathPrediction:
    """What a network says about a file or a folder.

    Attributes:
        path: what was read.
        prediction: the answer.
        frames: number of frames that it rests on; 0 for a motion image.
        start: number of the first of them, as the folder or the video counts; None for a motion image.
        end: number of the last.
        seconds: how long they last; None where the rate is unknown.
        face_frame: number of the frame that gave the crop; None where no face was looked for.
        shown: uint8 (N, F, F, 3), a few of the cropped frames, in order.
        shown_numbers: their numbers.
        notes: what the reader should know.
    """

    path: Path
    prediction: Prediction
    frames: int
    start: int | None
    end: int | None
    seconds: float | None
    face_frame: int | None
    shown: np.ndarray
    shown_numbers: tuple[int, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        plain = {name: getattr(self, name) for name in ("frames", "start", "end", "seconds", "face_frame")}
        return {"path": str(self.path), **self.prediction.to_json(), **plain, "notes": list(self.notes)}


@dataclasses.dataclass(frozen=True)
class Predictor:
    """One interface to a network, wherever it comes from.

    Attributes:
        source: ``checkpoint`` or ``tflite``.
        labels: name of each class.
        input_size: height and width S of the motion image.
        frame_size: height and width F of the cropped frames.
        motion: how frames become a motion image; None where a bare file does not say.
        classify: float32 (S, S, 3) in [0, 1] -> float32 (classes,).
        classify_clip: uint8 (T, F, F, 3) -> float32 (classes,), and the motion image.
    """

    source: str
    labels: tuple[str, ...]
    input_size: int
    frame_size: int
    motion: MotionConfig | None
    classify: Callable[[np.ndarray], np.ndarray]
    classify_clip: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def predict_clip(self, frames: np.ndarray | Sequence[np.ndarray]) -> Prediction:
        """The expression in a clip.

        Args:
            frames: uint8 (T, F, F, 3), T at least 2, cropped to the face, all alike.

        Raises:
            InputError: another dtype or shape.
        """
        frames = np.asarray(frames)
        expected = (self.frame_size, self.frame_size, 3)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != expected or len(frames) < 2:
            raise InputError(
                f"frames must be uint8 of shape (T, {self.frame_size}, {self.frame_size}, 3), T at least 2. "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        if len(frames) > LONG_CLIP and self.motion is not None and find_spec("keras"):
            from affnet_tf.imaging.motion import clip_motion_image

            image = clip_motion_image(frames[None], self.motion, self.input_size)[0]
            return Prediction(self.labels, self.classify(image), image)
        probabilities, image = self.classify_clip(frames)
        return Prediction(self.labels, probabilities, image)

    def predict_motion_image(self, image: np.ndarray) -> Prediction:
        """The expression in a motion image; one of another size is resized.

        Args:
            image: (H, W, 3), uint8 or a float dtype in [0, 1].

        Raises:
            InputError: another dtype, shape or range.
        """
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[-1] != 3 or (image.dtype != np.uint8 and image.dtype.kind != "f"):
            raise InputError(
                f"a motion image must be uint8 or float of shape (H, W, 3). Received: {image.dtype} of shape {image.shape}"
            )
        image = image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise InputError(
                f"a float motion image must lie in [0, 1]. Received: [{image.min():.3g}, {image.max():.3g}]"
            )
        if image.shape[:2] != (self.input_size, self.input_size):
            if not find_spec("keras"):
                raise InputError(
                    f"a motion image must have {self.input_size}x{self.input_size} pixels; to have it resized, install "
                    f"keras. Received: {image.shape[1]}x{image.shape[0]}"
                )
            from affnet_tf.imaging.motion import resize_motion

            image = resize_motion(image, self.input_size)
        return Prediction(self.labels, self.classify(image), image)


def load_predictor(path: str | os.PathLike) -> Predictor:
    """A predictor from whatever holds a network.

    Args:
        path: a checkpoint folder, a run folder (its ``model`` is taken), a bundle, a recipe's folder, or a .tflite file.

    Raises:
        InputError: it is none of these, or it is damaged.
    """
    path = Path(path)
    for folder in (path, path / "model"):
        # By name, since to ask the checkpoint's own module would load Keras, which an exported file does without.
        if (folder / "model.weights.h5").is_file():
            return _from_checkpoint(folder)
    if not path.is_file() and not is_bundle(path):
        raise InputError(
            f"a model must be a checkpoint, a run with a trained model, a bundle or a .tflite file. Received: {str(path)!r}"
        )
    return _from_tflite(path)


def predict_path(
    path: str | os.PathLike,
    predictor: Predictor,
    start: float | None = None,
    end: float | None = None,
    detector: Any = None,
) -> PathPrediction:
    """The expression in a video, in a folder of frames, or in the picture of a motion image.

    The frames from ``start`` to ``end`` are one clip, with one crop: from the first frame that shows a face among the
    first and some evenly spaced ones. They are read one at a time and kept at the size of the crop.

    Args:
        path: a video file, a folder of numbered images, or one image.
        predictor: what answers.
        start: first frame, inclusive: seconds of a video, the number of a frame in a folder. None: the first.
        end: last frame, likewise.
        detector: ``imaging.faces.FaceDetector``; None: the frames are face crops already.

    Raises:
        InputError: nothing readable, fewer than two frames, or no face.
    """
    from affnet_tf.imaging.frames import frame_numbers, frame_range, is_video, read_image, video_info
    from affnet_tf.pipeline.crops import crop_source

    path = Path(path)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        if start is not None or end is not None:
            raise InputError(f"start and end must go with a video or a folder of frames. Received: image {str(path)!r}")
        prediction = predictor.predict_motion_image(read_image(path))
        nothing = np.empty((0, predictor.frame_size, predictor.frame_size, 3), np.uint8)
        return PathPrediction(path, prediction, 0, None, None, None, None, nothing, (), ("read as one motion image",))
    first, last = frame_range(path, start, end)
    numbers = frame_numbers(path, first, last)
    if len(numbers) < 2:
        raise InputError(f"a clip must have at least 2 frames. Received: {str(path)!r} with {len(numbers)}")

    crops, face_index = crop_source(path, first, last, predictor.frame_size, detector)
    # A video may hold a few more or fewer frames than its header says.
    numbers = [*numbers[: len(crops)], *(numbers[-1] + 1 + i for i in range(len(crops) - len(numbers)))]
    face_frame = None if face_index is None else numbers[face_index]
    fps = video_info(path).fps if is_video(path) else None
    seconds = len(crops) / fps if fps else None
    picked = sorted({round(i) for i in np.linspace(0, len(crops) - 1, SHOWN_FRAMES)})
    notes = _notes(len(crops), seconds, face_frame, numbers[0], detector)
    return PathPrediction(
        path,
        predictor.predict_clip(crops),
        len(crops),
        numbers[0],
        numbers[-1],
        seconds,
        face_frame,
        crops[picked],
        tuple(numbers[i] for i in picked),
        notes,
    )


def predict_file(
    path: str | os.PathLike,
    model: str | os.PathLike,
    start: float | None = None,
    end: float | None = None,
    detector: str = "mtcnn",
    out: str | os.PathLike | None = None,
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...], list[tuple[object, ...]]]]:
    """``predict_path`` by the paths alone; ``out`` takes prediction.json and prediction.png.

    Args:
        path: as ``predict_path``.
        model: as ``load_predictor``.
        start: as ``predict_path``.
        end: as ``predict_path``.
        detector: a name of ``imaging.faces.DETECTORS``.
        out: folder to write to; it is made if need be, and files of an earlier prediction are replaced.

    Returns:
        What prediction.json holds, and a table (title, columns, rows) of the labels, the most probable one first.

    Raises:
        InputError: as the two; an unknown detector; ``out`` is a file, or matplotlib, which draws, is not installed.
    """
    from affnet_tf.imaging.faces import face_detector

    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--out must be a folder. Received: {str(out)!r}, which is a file")
    finder = face_detector(detector)
    result = predict_path(path, load_predictor(model), start, end, finder)
    document = {"model": str(model), **result.to_json()}
    if out is not None:
        from affnet_tf.inference.picture import draw_prediction

        draw_prediction(result, Path(out) / PICTURE_FILE)
        write_json(Path(out) / PREDICTION_FILE, document)
    rows = sorted(document["probabilities"].items(), key=lambda row: -row[1])
    span = f", frames {result.start} to {result.end}" if result.frames else ""
    return document, (f"{result.path.name}{span}", ("label", "probability"), rows)


def _from_checkpoint(folder: Path) -> Predictor:
    import keras

    from affnet_tf.imaging.motion import clip_motion_image
    from affnet_tf.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder)
    if checkpoint.config.motion.representation != "motion":
        raise InputError(
            f"a network that predicts must have motion.representation 'motion'. "
            f"Received: {checkpoint.config.motion.representation!r} in {str(folder)!r}"
        )
    size, motion = checkpoint.config.model.input_size, checkpoint.config.motion

    def classify(image: np.ndarray) -> np.ndarray:
        logits = checkpoint.model(image[None].astype(np.float32), training=False)
        return keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]

    def classify_clip(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image = clip_motion_image(frames[None], motion, size)[0]
        return classify(image), image

    return Predictor(
        "checkpoint", tuple(checkpoint.labels), size, checkpoint.frame_size, motion, classify, classify_clip
    )


def _from_tflite(path: Path) -> Predictor:
    model = TFLiteModel(path)
    if model.frame_size is None:
        raise InputError(f"{str(model.path)!r} must have the signature 'classify_clip'. Received: 'classify' alone")
    labels = model.labels or tuple(f"class {i}" for i in range(model.classes))
    motion = MotionConfig(**model.recipe["motion"]) if model.recipe else None
    return Predictor("tflite", labels, model.input_size, model.frame_size, motion, model.classify, model.classify_clip)


def _notes(count: int, seconds: float | None, face_frame: int | None, first: int, detector: Any) -> tuple[str, ...]:
    notes = []
    if seconds is not None and seconds > LONG_SECONDS:
        notes.append(
            f"the clip lasts {seconds:.1f} s; a micro-expression lasts under 0.5 s: give its --start and --end"
        )
    elif seconds is None and count > 200:
        notes.append(
            f"the clip has {count} frames, over 1 s even at 200 frames a second; a micro-expression lasts under 0.5 s: "
            "give its --start and --end"
        )
    if face_frame is not None and face_frame != first:
        notes.append(f"no face on frame {first}; the crop comes from frame {face_frame}")
    if detector is None:
        notes.append("no face was looked for: the frames are taken as face crops")
    return tuple(notes)

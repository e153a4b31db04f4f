"""Frames, a video or a motion image in, probabilities out: from a checkpoint or from an exported file, alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from affnet_tf.config import ExperimentConfig, MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.files import restore
from affnet_tf.inference.prediction import Prediction
from affnet_tf.inference.runtime import TFLiteModel, is_bundle
from affnet_tf.pipeline.crop_config import TrainedCrop
from affnet_tf.places import Address, Place, local, place_at

__all__ = ["Predictor", "load_predictor"]

# An exported graph keeps a float32 copy of all frames; beyond this many they are pooled outside, frame by frame.
LONG_CLIP = 512


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
        crop: how the frames that it was trained on were cropped; None where neither checkpoint nor bundle says so.
    """

    source: str
    labels: tuple[str, ...]
    input_size: int
    frame_size: int
    motion: MotionConfig | None
    classify: Callable[[np.ndarray], np.ndarray]
    classify_clip: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    crop: TrainedCrop | None = None

    def predict_clip(self, frames: np.ndarray | Sequence[np.ndarray]) -> Prediction:
        """The expression in a clip.

        Args:
            frames: uint8 (T, F, F, 3), T at least 2, cropped to the face, all alike, and magnified if ``crop`` says so:
                ``recording.predict_path`` does both.

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


def load_predictor(path: Address) -> Predictor:
    """A predictor from whatever holds a network.

    Args:
        path: a checkpoint folder or a run folder (its ``model`` is taken), at an address too; or, on a local disk, a bundle, a
            recipe's folder, or a .tflite file.

    Raises:
        InputError: it is none of these, or it is damaged.
    """
    path = place_at(path)
    restore(path)
    for folder in (path, path / "model"):
        # By name, since to ask the checkpoint's own module would load Keras, which an exported file does without.
        if (folder / "model.weights.h5").is_file():
            return _from_checkpoint(folder)
    path = local(path, "a model that is no checkpoint")
    if not path.is_file() and not is_bundle(path):
        raise InputError(
            f"a model must be a checkpoint, a run with a trained model, a bundle or a .tflite file. Received: {str(path)!r}"
        )
    return _from_tflite(path)


def _from_checkpoint(folder: Place) -> Predictor:
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

    labels, crop = tuple(checkpoint.labels), TrainedCrop.read(checkpoint.details)
    return Predictor("checkpoint", labels, size, checkpoint.frame_size, motion, classify, classify_clip, crop)


def _from_tflite(path: Path) -> Predictor:
    model = TFLiteModel(path)
    if model.frame_size is None:
        raise InputError(f"{str(model.path)!r} must have the signature 'classify_clip'. Received: 'classify' alone")
    labels = model.labels or tuple(f"class {i}" for i in range(model.classes))
    motion = ExperimentConfig.from_json({"motion": model.recipe["motion"]}).motion if model.recipe else None
    sizes, crop = (model.input_size, model.frame_size), TrainedCrop.read(model.recipe)
    return Predictor("tflite", labels, *sizes, motion, model.classify, model.classify_clip, crop)

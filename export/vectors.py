"""A bundle's test vectors: a few motion images and clips with Keras' answers, to check it by wherever it goes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affnet_tf.export.signatures import keras_classify, keras_motion_images
from affnet_tf.inference.reverify import Vectors, spread_frames
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["make_vectors"]

_IMAGES, _CLIPS, _FRAMES = 8, 2, 8
# Together under 1 MB, though noise does not compress.
_IMAGE_BYTES, _CLIP_BYTES = 350_000, 600_000


def make_vectors(checkpoint: Checkpoint, clips: Sequence[np.ndarray], window: int) -> Vectors:
    """Up to eight motion images and two short clips from those that a bundle is verified with, and Keras' answers.

    Args:
        checkpoint: the network, in float32.
        clips: uint8 (T, F, F, 3), T at least 2; at least one.
        window: number of frames of the file's stream.
    """
    size, side = checkpoint.config.model.input_size, checkpoint.frame_size
    images = _spread(clips, min(_IMAGES, max(1, _IMAGE_BYTES // (size * size * 3))))
    images = keras_motion_images(checkpoint, images)
    # Quantised first and classified then: the answers belong to what is stored.
    images = np.round(images * 255).astype(np.uint8)
    chosen = _spread(clips, _CLIPS)
    room = max(2, _CLIP_BYTES // (_CLIPS * side * side * 3))
    frames = min(_FRAMES, room, *(len(clip) for clip in chosen))
    short = np.stack([np.stack(_spread(clip, frames)) for clip in chosen])
    picked = spread_frames(frames, window)
    return Vectors(
        images,
        keras_classify(checkpoint, images.astype(np.float32) / 255),
        short,
        keras_classify(checkpoint, keras_motion_images(checkpoint, short)),
        picked,
        keras_classify(checkpoint, keras_motion_images(checkpoint, short[:, picked])),
    )


def _spread(items: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    return [items[place] for place in spread_frames(len(items), min(count, len(items)))]

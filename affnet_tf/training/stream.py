"""Images that are made once for several folds: a stream, of which the device holds the last ones. JAX alone."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from affnet_tf.errors import InputError

__all__ = ["HeldImages", "SharedStream", "held_images"]


@dataclasses.dataclass(frozen=True)
class SharedStream:
    """What several folds are trained on.

    Attributes:
        images: endless batches of motion images, float32 (B, S, S, 3), all of one size.
        targets: endless batches of (places of images in the stream, counted from 0, int64 (K, B); labels float32
            (K, B, classes); weights float32 (K, B); the share of each image in its mixture with the next one, float32 (K, B),
            or None where none are mixed).
        span: number of images from the first place of a batch of targets to the last one, at most.
    """

    images: Iterable
    targets: Iterable
    span: int


class HeldImages:
    """The last images of a stream, on the device: a ring, whose oldest ones give way when a later one is asked for.

    Args:
        stream: of it, the images are read.
    """

    def __init__(self, stream: SharedStream) -> None:
        self._images = iter(stream.images)
        self._span = stream.span
        self._ring: Any = None
        self._read = 0

    def at(self, places: np.ndarray) -> tuple[Any, np.ndarray]:
        """The ring, (N, S, S, 3), and where in it the images of some places of the stream lie, int32.

        The ring that was given before is not to be used any more.

        Raises:
            InputError: the stream's span is too small for such places.
        """
        while self._read <= places.max():
            images = np.asarray(next(self._images))
            if self._ring is None:
                self._ring = _zeros(held_images(self._span, len(images)), images)
            self._ring = _writer()(self._ring, images, self._read % len(self._ring))
            self._read += len(images)
        if places.min() < self._read - len(self._ring):
            raise InputError(
                f"span must hold the places of a step, {places.min()} to {places.max()}. Received: {self._span}"
            )
        return self._ring, (places % len(self._ring)).astype(np.int32)


def held_images(span: int, batch: int) -> int:
    """How many images are held for a ``span``, in whole batches, one of which is being read."""
    return (math.ceil(span / batch) + 1) * batch


def _zeros(count: int, like: np.ndarray) -> Any:
    import jax

    return jax.numpy.zeros((count, *like.shape[1:]), like.dtype)


@functools.cache
def _writer() -> Any:
    """Writes images into a ring, which is not copied."""
    import jax

    return jax.jit(functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0), donate_argnums=0)

"""Images of a stream that the device holds, against all of them in one array."""

import itertools

import numpy as np
import pytest

from affnet_tf.errors import InputError

BATCH = 4

pytest.importorskip("jax")


def stream(span: int) -> tuple:
    """Images that are their own places, and a stream of them."""
    from affnet_tf.training.stream import SharedStream

    images = np.arange(400, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3), np.float32)
    return images, SharedStream(iter(images.reshape(100, BATCH, 2, 2, 3)), [], span)


@pytest.mark.parametrize("span", [1, 4, 10, 13])
def test_images_are_found_wherever_a_span_lies(span):
    from affnet_tf.training.stream import HeldImages, held_images

    images, shared = stream(span)
    held, rng, most = HeldImages(shared), np.random.default_rng(0), 0
    for start in itertools.accumulate(rng.integers(0, 9, 60), initial=0):
        start -= int(rng.integers(0, 3)) if span > 3 and start > 3 else 0  # folds do not go on in step
        places = rng.integers(start, start + max(1, span - 3), (3, 5))
        ring, lie = held.at(places)
        assert len(ring) == held_images(span, BATCH)
        assert lie.dtype == np.int32
        np.testing.assert_array_equal(np.asarray(ring)[lie], images[places])
        most = max(most, places.max())
    assert most > 3 * len(ring), "the ring went round"


def test_a_span_that_is_too_small_is_told():
    from affnet_tf.training.stream import HeldImages

    held = HeldImages(stream(4)[1])
    held.at(np.array([[9, 12]]))
    with pytest.raises(InputError, match=r"^span must hold the places of a step, 3 to 12\. Received: 4$"):
        held.at(np.array([[3, 12]]))

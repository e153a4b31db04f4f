"""The graphs around the network, which no recipe changes: motion from a clip, and from a stream."""

from __future__ import annotations

import dataclasses
import functools

from affnet_tf.export.convert import convert_graph
from affnet_tf.export.join import join
from affnet_tf.export.signatures import MotionPath, motion_graph, state_graph, update_graph
from affnet_tf.inference.runtime import CLASSIFY_CLIP, CLASSIFY_STATE, UPDATE

__all__ = ["WINDOW_LENGTH", "Fronts", "convert_fronts"]

# Half a second at the rate of a phone's camera: the length that a micro-expression has at most.
WINDOW_LENGTH = 15


@dataclasses.dataclass(frozen=True)
class Fronts:
    """Float32 TFLite files with one signature each.

    Attributes:
        motion: frames -> motion image.
        update: a frame and a state -> the next state.
        state: a state -> motion image.
    """

    motion: bytes
    update: bytes
    state: bytes

    def around(self, network: bytes) -> bytes:
        """One file with four signatures, all of which run the same network."""
        return join(network, {CLASSIFY_CLIP: self.motion, CLASSIFY_STATE: self.state}, {UPDATE: self.update})


@functools.lru_cache(maxsize=4)
def convert_fronts(path: MotionPath, window: int = WINDOW_LENGTH) -> Fronts:
    """Convert them; ``window`` is the number of frames that a stream keeps, at least 2."""
    graphs = motion_graph(path), update_graph(path, window), state_graph(path, window)
    return Fronts(*(convert_graph(graph) for graph in graphs))

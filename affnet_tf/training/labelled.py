"""The labelled clips of a store, as an experiment needs them: rows, labels, people, frames, motion images."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from affnet_tf.config import ExperimentConfig
from affnet_tf.datasets.labels import LabelScheme, label_scheme
from affnet_tf.errors import InputError
from affnet_tf.evaluation.protocols import Key
from affnet_tf.pipeline.input import check_representation, load, motion_images
from affnet_tf.pipeline.reading import CACHE_BYTES, ClipReader
from affnet_tf.pipeline.store import Store, naming_damage, open_store
from affnet_tf.places import Address, place_at

__all__ = ["LabelledClips"]


class LabelledClips:
    """A store's clips that the label scheme has a label for.

    Args:
        path: of the store.
        config: its label scheme, and how a clip becomes a motion image.
        processes: how many of them hold the same clips in this machine's memory.

    Raises:
        InputError: a bad store, a scheme without a label for any clip of it, or clips that cannot be represented so.
    """

    def __init__(self, path: Address, config: ExperimentConfig, processes: int = 1) -> None:
        self.store: Store = open_store(path)
        self.scheme: LabelScheme = label_scheme(config.labels, self.store.clips)
        self.label_of, self.dropped = self.scheme.assign(self.store.clips)
        self.labelled = [clip for clip in self.store.clips if clip.key in self.label_of]
        if not self.labelled:
            words = sorted({clip.emotion for clip in self.store.clips})
            raise InputError(f"label scheme {self.scheme.name!r} must map an emotion of the store. Received: {words}")
        self.row_of = {clip.key: row for row, clip in enumerate(self.store.clips) if clip.key in self.label_of}
        self._place = {key: place for place, key in enumerate(self.row_of)}
        self._config = config
        self._limit = CACHE_BYTES // processes
        check_representation(self.store, config.motion.representation)

    @functools.cached_property
    def clips(self) -> ClipReader:
        """The labelled clips by row."""
        return ClipReader(self.store, self.row_of.values(), self._limit)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The motion image of every labelled clip, without augmentation, in the order of the store."""
        with naming_damage(self.store):
            return motion_images(self.clips.in_order(), self._config.motion, self._config.model.input_size)

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self.scheme.labels)

    @property
    def address(self) -> str:
        """Where the store is, for whoever has another working folder."""
        return str(place_at(self.store.path).absolute())

    def load(self) -> None:
        """Read into memory what training looks up; not inside a distribution strategy's scope."""
        with naming_damage(self.store):
            load(self.clips, self._config)

    def truth(self, keys: Iterable[Key]) -> list[int]:
        """Label indices of clips."""
        return [self.label_of[key] for key in keys]

    def subjects(self, keys: Iterable[Key]) -> list[str]:
        """The people of clips, ``dataset/subject``, sorted."""
        return sorted({self.store.clips[self.row_of[key]].person for key in keys})

    def pictures(self, keys: Iterable[Key]) -> np.ndarray:
        """Motion images of clips, float32 (N, S, S, 3) in [0, 1]."""
        return self.images[[self._place[key] for key in keys]]

    def facts(self) -> dict[str, Any]:
        """What a run's manifest says of them."""
        return {
            "synthetic": self.store.synthetic,
            "store": self.address,
            "store_hash": self.store.hash,
            "clips": len(self.labelled),
            "dropped": {f"{dataset} {emotion}": count for (dataset, emotion), count in self.dropped.items()},
        }

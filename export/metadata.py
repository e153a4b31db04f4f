"""What an app must know of a file: in the file itself, and the same in ``metadata.json`` beside it."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.export.join import read_file, write_file
from affnet_tf.export.origin import Origin
from affnet_tf.export.recipes import Recipe
from affnet_tf.inference.runtime import (
    COUNT,
    FRAME,
    FRAMES,
    LABELS_FILE,
    MOTION_IMAGE,
    PROBABILITIES,
    SIGNED_MOTION,
    SUM,
    WINDOW,
)
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["ENTRY", "describe_file", "labels_text", "read_metadata", "with_metadata"]

# Name of the entry among the file's metadata; its buffer holds JSON in UTF-8.
ENTRY = "affnet_tf.json"

_MEANING = {
    MOTION_IMAGE: "affective-motion image, RGB",
    FRAMES: "RGB frames of the cropped face, in order of time",
    FRAME: "the next RGB frame of the cropped face",
    WINDOW: "the frames of the window, oldest first",
    COUNT: "how many frames of the window have been seen; below its length no answer means anything",
    SUM: "sum of the frames of the window",
    SIGNED_MOTION: "weighted sum of the frames of the window",
    PROBABILITIES: "probability of each label, in the order of labels.txt",
}
_RANGE = {MOTION_IMAGE: [0.0, 1.0], PROBABILITIES: [0.0, 1.0], FRAMES: [0, 255], FRAME: [0, 255], WINDOW: [0, 255]}


def describe_file(file: bytes, checkpoint: Checkpoint, recipe: Recipe, origin: Origin) -> dict[str, Any]:
    """The labels and their scheme, the crop, the frame rate, and what each signature takes and gives, JSON-ready.

    A quantised tensor has ``scale`` and ``zero_point``: real = scale * (stored - zero_point). ``range`` is that of the real
    numbers.
    """
    return {
        "labels": list(checkpoint.labels),
        "scheme": checkpoint.config.labels,
        "recipe": recipe.name,
        "motion": dataclasses.asdict(checkpoint.config.motion),
        "crop": list(origin.crops),
        "frame_size": checkpoint.frame_size,
        "input_size": checkpoint.config.model.input_size,
        "fps": origin.fps,
        "synthetic": origin.synthetic,
        "signatures": _signatures(file),
    }


def with_metadata(file: bytes, metadata: dict[str, Any], labels: Sequence[str]) -> bytes:
    """The file with the metadata as an entry of its own, and ``labels.txt`` attached: it can be unzipped, and still runs."""
    model = read_file(file)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(metadata, ensure_ascii=False).encode(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    attached = io.BytesIO(write_file(model))
    attached.seek(0, io.SEEK_END)
    with zipfile.ZipFile(attached, "a", zipfile.ZIP_STORED) as archive:
        # Of no date, so that the same network gives the same file.
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), labels_text(labels))
    return attached.getvalue()


def read_metadata(file: bytes) -> bytes | None:
    """The JSON of the entry that ``with_metadata`` wrote; None if there is none."""
    model = read_file(file)
    for entry in model.metadata or []:
        if entry.name == ENTRY.encode():
            return bytes(bytearray(model.buffers[entry.buffer].data))
    return None


def labels_text(labels: Sequence[str]) -> str:
    """The content of ``labels.txt``: one label on each line."""
    return "".join(f"{label}\n" for label in labels)


def _signatures(file: bytes) -> dict[str, Any]:
    model = read_file(file)
    kinds = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}

    def tensors(graph: Any, entries: Sequence[Any]) -> dict[str, Any]:
        found = {}
        for entry in entries:
            name, tensor = entry.name.decode(), graph.tensors[entry.tensorIndex]
            shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
            found[name] = {
                "meaning": _MEANING[name],
                "dtype": kinds[tensor.type],
                # -1: of any length.
                "shape": [int(size) for size in shape],
                **({"range": _RANGE[name]} if name in _RANGE else {}),
            }
            quantisation = tensor.quantization
            if quantisation is not None and quantisation.scale is not None and len(quantisation.scale):
                found[name] |= {
                    "scale": float(quantisation.scale[0]),
                    "zero_point": int(quantisation.zeroPoint[0]),
                }
        return found

    return {
        signature.signatureKey.decode(): {
            "inputs": tensors(model.subgraphs[signature.subgraphIndex], signature.inputs),
            "outputs": tensors(model.subgraphs[signature.subgraphIndex], signature.outputs),
        }
        for signature in model.signatureDefs
    }

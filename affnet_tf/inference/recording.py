"""From a recording (a video, a folder of frames, the picture of a motion image) to an answer: ``affnet predict``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.config import check
from affnet_tf.errors import InputError
from affnet_tf.files import IMAGE_SUFFIXES, check_folder, write_json
from affnet_tf.inference.prediction import PathPrediction
from affnet_tf.inference.predictor import Predictor, load_predictor
from affnet_tf.pipeline.crop_config import CropConfig, TrainedCrop
from affnet_tf.places import Address, local, place_at

__all__ = ["predict_file", "predict_path"]

# Micro-expressions last under 0.5 s; of a second or more, most is something else.
LONG_SECONDS = 1.0
SHOWN_FRAMES = 5
PREDICTION_FILE, PICTURE_FILE = "prediction.json", "prediction.png"


def predict_path(
    path: Address,
    predictor: Predictor,
    start: float | None = None,
    end: float | None = None,
    detector: Any = None,
    fps: float | None = None,
) -> PathPrediction:
    """The expression in a video, in a folder of frames, or in the picture of a motion image.

    The frames from ``start`` to ``end`` are one clip, with one crop: from the first frame that shows a face among the
    first and some evenly spaced ones. They are read one at a time and kept at the size of the crop. The crop has the margin of
    the network's training clips, and motion is magnified if theirs was: see ``Predictor.crop``.

    Args:
        path: a video file, a folder of numbered images, or one image.
        predictor: what answers.
        start: first frame, inclusive: seconds of a video, the number of a frame in a folder. None: the first.
        end: last frame, likewise.
        detector: ``imaging.faces.FaceDetector``; None: the frames are face crops already.
        fps: frames per second, for a network whose training clips were magnified; None: what a video's header states.

    Raises:
        InputError: nothing readable, fewer than two frames, or no face; to be magnified, no frame rate or more frames than fit
            in memory.
    """
    from affnet_tf.imaging.frames import frame_numbers, frame_range, is_video, read_image, video_info

    path = local(path, "a recording")
    check(fps is None or 0 < fps < math.inf, "fps", "be more than 0", fps)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        if (start, end, fps) != (None, None, None):
            raise InputError(
                f"start, end and fps must go with a video or a folder of frames. Received: image {str(path)!r}"
            )
        prediction = predictor.predict_motion_image(read_image(path))
        nothing = np.empty((0, predictor.frame_size, predictor.frame_size, 3), np.uint8)
        return PathPrediction(path, prediction, 0, None, None, None, None, nothing, (), ("read as one motion image",))
    first, last = frame_range(path, start, end)
    numbers = frame_numbers(path, first, last)
    if len(numbers) < 2:
        raise InputError(f"a clip must have at least 2 frames. Received: {str(path)!r} with {len(numbers)}")

    fps = fps or (video_info(path).fps if is_video(path) else None)
    settings = predictor.crop or TrainedCrop(predictor.frame_size)
    crops, face_index = _crops(path, first, last, settings, detector, fps, len(numbers))
    # A video may hold a few more or fewer frames than its header says.
    numbers = [*numbers[: len(crops)], *(numbers[-1] + 1 + i for i in range(len(crops) - len(numbers)))]
    face_frame = None if face_index is None else numbers[face_index]
    seconds = len(crops) / fps if fps else None
    picked = sorted({round(i) for i in np.linspace(0, len(crops) - 1, SHOWN_FRAMES)})
    notes = (
        *_notes(len(crops), seconds, face_frame, numbers[0], detector),
        *_crop_notes(predictor.crop, detector is not None),
    )
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
    path: Address,
    model: Address,
    start: float | None = None,
    end: float | None = None,
    detector: str = "mtcnn",
    out: Address | None = None,
    fps: float | None = None,
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...], list[tuple[object, ...]]]]:
    """``predict_path`` by the paths alone; ``out`` takes prediction.json and prediction.png.

    Args:
        path: as ``predict_path``.
        model: as ``load_predictor``.
        start: as ``predict_path``.
        end: as ``predict_path``.
        detector: a name of ``config.DETECTORS``.
        out: folder to write to; it is made if need be, and files of an earlier prediction are replaced.
        fps: as ``predict_path``.

    Returns:
        What prediction.json holds, and a table (title, columns, rows) of the labels, the most probable one first.

    Raises:
        InputError: as the two; an unknown detector; ``out`` is a file, or matplotlib, which draws, is not installed.
    """
    from affnet_tf.imaging.faces import face_detector

    if out is not None:
        check_folder(out, "--out")
    finder = face_detector(detector)
    result = predict_path(path, load_predictor(model), start, end, finder, fps)
    document = {"model": str(model), **result.to_json()}
    if out is not None:
        from affnet_tf.inference.picture import draw_prediction

        draw_prediction(result, place_at(out) / PICTURE_FILE)
        write_json(place_at(out) / PREDICTION_FILE, document)
    rows = sorted(document["probabilities"].items(), key=lambda row: -row[1])
    span = f", frames {result.start} to {result.end}" if result.frames else ""
    return document, (f"{result.path.name}{span}", ("label", "probability"), rows)


def _crops(
    path: Path, first: int | None, last: int | None, settings: TrainedCrop, detector: Any, fps: float | None, count: int
) -> tuple[np.ndarray, int | None]:
    """The frames as those of the training clips were cropped, and magnified; and the index of the one that gave the crop."""
    from affnet_tf.imaging.magnify import magnify
    from affnet_tf.pipeline.crops import TooLong, crop_source

    rule = f"a clip for a network that was trained on clips magnified by {settings.magnify:g} must have"
    if settings.magnify and fps is None:
        raise InputError(f"{rule} a frame rate: --fps gives that of a folder. Received: {str(path)!r} without")
    most = settings.most_frames if settings.magnify else None
    try:
        if most is not None and count > most:
            raise TooLong(most, count)
        # A video may hold more frames than its header says.
        crops, index = crop_source(path, first, last, settings.size, detector, settings.margin, most)
    except TooLong as error:
        raise InputError(f"{rule} at most {most} frames. Received: {str(path)!r} with {error.received}") from None
    if settings.magnify:
        crops = magnify(crops, settings.magnify, *settings.band, fps)
    return crops, index


def _crop_notes(crop: TrainedCrop | None, searched: bool) -> Iterator[str]:
    """Where the crop may be another than the network knows."""
    if crop is None:
        if searched:
            yield f"the model does not say how its training clips were cropped: a margin of {CropConfig.margin:g} is taken"
        return
    if crop.mixed:
        yield (
            f"the network was trained on clips that differ in {', '.join(crop.mixed)}; this one is cropped with the margin "
            f"{crop.margin:g} and magnified by {crop.magnify:g}, as most of them"
        )
    if searched and crop.detector == "none":
        yield "the network was trained on clips that came as face crops; the crop that is made here may lie otherwise"


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

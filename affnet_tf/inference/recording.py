"""From a recording (a video, a folder of frames, the picture of a motion image) to an answer: ``affnet predict``."""

from __future__ import annotations

from typing import Any

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.files import IMAGE_SUFFIXES, check_folder, write_json
from affnet_tf.inference.prediction import PathPrediction
from affnet_tf.inference.predictor import Predictor, load_predictor
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

    path = local(path, "a recording")
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
    path: Address,
    model: Address,
    start: float | None = None,
    end: float | None = None,
    detector: str = "mtcnn",
    out: Address | None = None,
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

    if out is not None:
        check_folder(out, "--out")
    finder = face_detector(detector)
    result = predict_path(path, load_predictor(model), start, end, finder)
    document = {"model": str(model), **result.to_json()}
    if out is not None:
        from affnet_tf.inference.picture import draw_prediction

        draw_prediction(result, place_at(out) / PICTURE_FILE)
        write_json(place_at(out) / PREDICTION_FILE, document)
    rows = sorted(document["probabilities"].items(), key=lambda row: -row[1])
    span = f", frames {result.start} to {result.end}" if result.frames else ""
    return document, (f"{result.path.name}{span}", ("label", "probability"), rows)


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

"""Optical flow from one frame to another, and the strain of the skin that follows from it."""

from __future__ import annotations

import cv2
import numpy as np

from affnet_tf.errors import InputError

__all__ = ["flip_flow", "flip_flow_image", "flow_image", "optical_flow", "strain"]

MINIMUM_SIDE = 12  # of OpenCV's DIS


def optical_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where each pixel of ``first`` went in ``second``, and how much its surroundings were stretched.

    The three maps that STSTNet takes (Liong et al., "Shallow Triple Stream Three-dimensional CNN", FG 2019), from onset
    to apex; the flow is DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).

    Args:
        first: uint8 RGB (H, W, 3) or grey (H, W).
        second: likewise, of the same size.

    Returns:
        float32 of shape (H, W, 3): u in pixels, to the right; v in pixels, downwards; strain magnitude, no unit. Two
        equal frames give zeros.

    Raises:
        InputError: the frames differ in size, or a side is shorter than 12 pixels.
    """
    if first.shape[:2] != second.shape[:2] or min(first.shape[:2]) < MINIMUM_SIDE:
        raise InputError(
            f"optical flow needs two frames of one size, at least {MINIMUM_SIDE}x{MINIMUM_SIDE} pixels. "
            f"Received: {first.shape} and {second.shape}"
        )
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The preset stops at half resolution; micro-movements are fractions of a pixel, and this halves the error.
    method.setFinestScale(0)
    # Fewer patches, and fewer steps in each, than the preset: less than half the time, and no more error where the motion is
    # below a pixel. At three pixels it is a tenth larger.
    method.setPatchStride(5)
    method.setGradientDescentIterations(8)
    method.setVariationalRefinementIterations(3)
    motion = method.calc(_grey(first), _grey(second), None)
    return np.dstack([motion, strain(motion[..., 0], motion[..., 1])]).astype(np.float32)


def strain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Magnitude of the infinitesimal strain of a displacement field.

    ``sqrt(e_xx^2 + e_yy^2 + 2 e_xy^2)``, with e = (grad w + grad w^T) / 2 by central differences (Shreve et al.,
    "Macro- and Micro-expression Spotting in Long Videos using Spatio-temporal Strain", FG 2011). Neither a translation
    nor, to first order, a rotation of the head strains the skin.

    Args:
        u: displacement to the right, (H, W), pixels.
        v: displacement downwards, (H, W), pixels.

    Returns:
        (H, W), at least 0.
    """
    du_dy, du_dx = np.gradient(u)
    dv_dy, dv_dx = np.gradient(v)
    shear = (du_dy + dv_dx) / 2
    return np.sqrt(du_dx**2 + dv_dy**2 + 2 * shear**2)


def flow_image(flow: np.ndarray) -> np.ndarray:
    """Flow as a picture: each channel by itself from its least value, 0, to its greatest, 1.

    Args:
        flow: (..., H, W, C), such as ``optical_flow`` returns.

    Returns:
        float32 of the same shape, in [0, 1]; a constant channel is 0 throughout.
    """
    low = flow.min(axis=(-3, -2), keepdims=True)
    reach = flow.max(axis=(-3, -2), keepdims=True) - low
    return ((flow - low) / np.where(reach > 0, reach, 1)).astype(np.float32)


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """The flow that the mirrored frames would have: mirrored, and with u turned round.

    Args:
        flow: (..., H, W, C), channel 0 being u in pixels.

    Returns:
        A new array of the same shape and dtype.
    """
    flipped = flow[..., ::-1, :].copy()
    flipped[..., 0] *= -1
    return flipped


def flip_flow_image(image: np.ndarray) -> np.ndarray:
    """What ``flow_image`` would make of the mirrored frames: as ``flip_flow``, with u turned round within [0, 1].

    Args:
        image: (..., H, W, C) from ``flow_image``.

    Returns:
        A new array of the same shape and dtype.
    """
    flipped = image[..., ::-1, :].copy()
    u = flipped[..., 0]
    moving = u.max(axis=(-2, -1), keepdims=True) > 0  # a constant u is 0 both ways
    flipped[..., 0] = np.where(moving, 1 - u, u)
    return flipped


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else np.ascontiguousarray(frame)

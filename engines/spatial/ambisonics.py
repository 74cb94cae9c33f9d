"""Spherical harmonics for Ambisonics: real, ACN order, SN3D normalisation (Nachbar et al. 2011, "ambiX")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

MAX_ORDER = 3
# The letters of Gerzon and Furse-Malham, in ACN order.
CHANNELS = tuple("WYZXVTRSUQOMKLNP")


def n_harmonics(order: int) -> int:
    """Channels of an order."""
    return (order + 1) ** 2


def encoding_gains(directions: Float64, order: int) -> Float64:
    """Gains of a plane wave: float64 (..., (order + 1)^2), each in [-1, 1].

    Args:
        directions: float64 (..., 3) unit vectors towards the source; x front, y left, z up.
        order: 0..MAX_ORDER.
    """
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    harmonics = [
        np.ones_like(x),
        y,
        z,
        x,
        np.sqrt(3.0) * x * y,
        np.sqrt(3.0) * y * z,
        0.5 * (3.0 * z**2 - 1.0),
        np.sqrt(3.0) * x * z,
        np.sqrt(0.75) * (x**2 - y**2),
        np.sqrt(0.625) * y * (3.0 * x**2 - y**2),
        np.sqrt(15.0) * x * y * z,
        np.sqrt(0.375) * y * (5.0 * z**2 - 1.0),
        0.5 * z * (5.0 * z**2 - 3.0),
        np.sqrt(0.375) * x * (5.0 * z**2 - 1.0),
        np.sqrt(3.75) * z * (x**2 - y**2),
        np.sqrt(0.625) * x * (x**2 - 3.0 * y**2),
    ]
    return np.stack(harmonics[: n_harmonics(order)], axis=-1)

"""What a region looks like: a colour histogram, upper and lower half apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.specs import Float32, Mask

_L_BINS, _A_BINS, _B_BINS = 5, 7, 7
N_COLOURS = _L_BINS * _A_BINS * _B_BINS
EMBEDDING_SIZE = 2 * N_COLOURS
# a and b live within about +-45 of 128 in ordinary pictures.
_AB_REACH = 45.0


def colour_bins(lab: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Colour index of each pixel of uint8 (H, W, 3) Lab: int32 (H, W), 0..N_COLOURS-1."""
    lightness = np.minimum(lab[..., 0].astype(np.int32) * _L_BINS >> 8, _L_BINS - 1)
    table = ((np.arange(256) - 128 + _AB_REACH) / (2 * _AB_REACH) * _A_BINS).astype(np.int32).clip(0, _A_BINS - 1)
    return (lightness * _A_BINS + table[lab[..., 1]]) * _B_BINS + table[lab[..., 2]]


def embed(bins: NDArray[np.int32], mask: Mask) -> Float32:
    """Unit vector float32 (EMBEDDING_SIZE,): square roots of the histograms of the upper and the lower half.

    The dot product of two such vectors is their Bhattacharyya coefficient.
    """
    half = max(1, mask.shape[0] // 2)
    parts = []
    for rows in (slice(0, half), slice(half, None)):
        inside = bins[rows][mask[rows]]
        parts.append(np.bincount(inside, minlength=N_COLOURS) if inside.size else np.zeros(N_COLOURS))
    histogram = np.concatenate(parts).astype(np.float32)
    total = histogram.sum()
    return np.sqrt(histogram / total).astype(np.float32) if total > 0 else histogram


def colour_likelihood(embedding: Float32) -> Float32:
    """Share of each colour in a region, smeared over neighbouring colours: float32 (N_COLOURS,), sums to about 1."""
    return (_SMEARING @ (embedding[:N_COLOURS] ** 2 + embedding[N_COLOURS:] ** 2)).astype(np.float32)


def _smearing() -> Float32:
    """Matrix (N_COLOURS, N_COLOURS) that lets each colour spill over to its neighbours along every axis."""
    one = np.ones((1, 1), np.float32)
    for n_bins in (_L_BINS, _A_BINS, _B_BINS):
        along = 0.6 * np.eye(n_bins, dtype=np.float32) + 0.2 * (np.eye(n_bins, k=1) + np.eye(n_bins, k=-1))
        along[0, 0] += 0.2
        along[-1, -1] += 0.2
        one = np.kron(one, along)
    return np.ascontiguousarray(one, np.float32)


_SMEARING = _smearing()


def similarity(a: Float32, b: Float32) -> float:
    """0 (nothing in common) to 1 (the same colours in the same halves)."""
    return float(a @ b) if a.size == b.size else 0.0


def dominant_hue(embedding: Float32) -> str:
    """One of "green" and "blue" when most of a region is, else ""."""
    if embedding.size != EMBEDDING_SIZE:
        return ""
    share = (embedding[:N_COLOURS] ** 2 + embedding[N_COLOURS:] ** 2).reshape(_L_BINS, _A_BINS, _B_BINS).sum(axis=0)
    step = 2 * _AB_REACH / _A_BINS
    a = (np.arange(_A_BINS) + 0.5) * step - _AB_REACH
    b = (np.arange(_B_BINS) + 0.5) * step - _AB_REACH
    mean_a, mean_b = float((share.sum(axis=1) * a).sum()), float((share.sum(axis=0) * b).sum())
    if mean_a < -6.0 and mean_b > 0.0:
        return "green"
    return "blue" if mean_b < -8.0 else ""

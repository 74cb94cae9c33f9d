"""Head-related impulse responses: from a SOFA file (AES69), or of a rigid sphere when there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from engines.errors import AssetError
from engines.spatial.panning import unit_vectors
from engines.specs import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S, Float32

Float64 = NDArray[np.float64]

N_TAPS = 256
_HEAD_RADIUS_M = 0.0875
_EQUALISER_LIMIT_DB = 12.0


@dataclass(frozen=True, slots=True)
class Hrtf:
    """Impulse responses of both ears.

    Attributes:
        name: what it is, for the user.
        directions: float64 (n, 3) unit vectors.
        responses: float32 (n, 2, N_TAPS) at 48 kHz, left ear first, diffuse-field equalised.
    """

    name: str
    directions: Float64
    responses: Float32

    def towards(self, directions: Float64) -> Float32:
        """Responses (m, 2, N_TAPS) of the measured directions nearest to `directions` (m, 3)."""
        return self.responses[(directions @ self.directions.T).argmax(axis=1)]


def load_sofa(path: Path) -> Hrtf:
    """Read a SimpleFreeFieldHRIR SOFA file.

    Raises:
        AssetError: not readable, or not head-related impulse responses.
    """
    try:
        with h5py.File(path, "r") as file:
            responses = np.asarray(file["Data.IR"], np.float64)
            positions = np.asarray(file["SourcePosition"], np.float64)
            rate_hz = round(float(np.asarray(file["Data.SamplingRate"], np.float64).flat[0]))
            kind = file["SourcePosition"].attrs.get("Type", b"spherical")
    except (OSError, KeyError, ValueError) as error:
        raise AssetError(f"SOFA file {path}: {error}") from error
    if responses.ndim != 3 or responses.shape[1] != 2 or len(positions) != len(responses):
        raise AssetError(f"SOFA file {path}: expected impulse responses of two ears, got shape {responses.shape}")
    if (kind.decode() if isinstance(kind, bytes) else str(kind)).startswith("spherical"):
        directions = unit_vectors(positions[:, 0], positions[:, 1])
    else:
        directions = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    if rate_hz != SAMPLE_RATE_HZ:
        from scipy.signal import resample_poly  # heavy, and most files have the rate already

        common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
        responses = resample_poly(responses, SAMPLE_RATE_HZ // common, rate_hz // common, axis=2)
    return Hrtf(path.stem, directions, _equalised(_trimmed(responses)))


def _trimmed(responses: Float64) -> Float64:
    """N_TAPS samples from 1 ms before the earliest onset, so that no common delay is left in."""
    envelope = np.abs(responses).max(axis=(0, 1))
    onset = int(np.argmax(envelope > 0.1 * envelope.max()))
    start = max(0, onset - SAMPLE_RATE_HZ // 1000)
    padded: Float64 = np.zeros((responses.shape[0], responses.shape[1], start + N_TAPS))
    n = min(padded.shape[2], responses.shape[2])
    padded[:, :, :n] = responses[:, :, :n]
    taps = padded[:, :, start:]
    taps[:, :, -32:] *= np.cos(0.5 * np.pi * np.arange(32) / 32)
    return taps


def _equalised(responses: Float64) -> Float32:
    """Divide by the diffuse-field response, common to both ears: the colour of microphone and ear canal goes."""
    n_fft = 4 * N_TAPS
    power = (np.abs(np.fft.rfft(responses, n_fft, axis=2)) ** 2).mean(axis=(0, 1))
    # Third-octave smoothing keeps the inverse filter short.
    index = np.arange(len(power))
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    low = np.floor(index * 2 ** (-1 / 6)).astype(int)
    high = np.minimum(np.ceil(index * 2 ** (1 / 6)).astype(int) + 1, len(power))
    smooth = (cumulative[high] - cumulative[low]) / (high - low)
    level_db = 10.0 * np.log10(smooth + 1e-20)
    reference_db = float(np.median(level_db[: len(level_db) // 2]))
    correction_db = np.clip(reference_db - level_db, -_EQUALISER_LIMIT_DB, _EQUALISER_LIMIT_DB) - reference_db
    log_magnitude = correction_db * (math.log(10.0) / 20.0)
    cepstrum = np.fft.irfft(log_magnitude)
    cepstrum[1 : n_fft // 2] *= 2.0
    cepstrum[n_fft // 2 + 1 :] = 0.0
    inverse = np.exp(np.fft.rfft(cepstrum))
    spectra = np.fft.rfft(responses, n_fft, axis=2) * inverse
    return np.ascontiguousarray(np.fft.irfft(spectra, n_fft, axis=2)[:, :, :N_TAPS].astype(np.float32))


def spherical_head() -> Hrtf:
    """A rigid sphere: delay after Woodworth (1938), shadow after Brown & Duda (1998, IEEE TSAP 6(5))."""
    azimuth = np.arange(0.0, 360.0, 5.0)
    elevation = np.arange(-90.0, 91.0, 10.0)
    directions = unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3)
    ears = unit_vectors(np.array([100.0, -100.0]), np.zeros(2))
    incidence = np.arccos(np.clip(directions @ ears.T, -1.0, 1.0))  # (n, 2)
    travel = _HEAD_RADIUS_M / SPEED_OF_SOUND_M_S
    delay_s = np.where(incidence < np.pi / 2, -travel * np.cos(incidence), travel * (incidence - np.pi / 2))
    delay_s += travel + 0.0005
    omega = 2.0 * np.pi * np.fft.rfftfreq(2 * N_TAPS, 1.0 / SAMPLE_RATE_HZ)
    omega_0 = SPEED_OF_SOUND_M_S / _HEAD_RADIUS_M
    # Shelf gain from 2 in front of the ear to 0.1 behind the head, deepest at 150 degrees of incidence.
    shelf = 1.05 + 0.95 * np.cos(incidence * (180.0 / 150.0))
    spectrum = (1.0 + 1j * shelf[..., None] * omega / (2.0 * omega_0)) / (1.0 + 1j * omega / (2.0 * omega_0))
    spectrum = spectrum * np.exp(-1j * omega * delay_s[..., None])
    responses = np.fft.irfft(spectrum, axis=2)[:, :, :N_TAPS]
    return Hrtf("spherical head", directions, _equalised(responses))


def find_hrtf(*candidates: Path) -> Hrtf:
    """The first SOFA file that exists, else the spherical head.

    Raises:
        AssetError: the file exists but is not usable.
    """
    for path in candidates:
        if path.is_file():
            return load_sofa(path)
    return spherical_head()


# Where Debian's libmysofa1 puts the MIT KEMAR measurement (Gardner & Martin 1994).
SYSTEM_SOFA = Path("/usr/share/libmysofa/default.sofa")

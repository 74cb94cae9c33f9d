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

N_TAPS = 480
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
    """Read a SimpleFreeFieldHRIR SOFA file (AES69), of any sampling rate.

    Raises:
        AssetError: not readable, or not head-related impulse responses.
    """
    try:
        with h5py.File(path, "r") as file:
            convention = _text(file.attrs.get("SOFAConventions", "SimpleFreeFieldHRIR"))
            responses = np.asarray(file["Data.IR"], np.float64)
            positions = np.asarray(file["SourcePosition"], np.float64)
            rate_hz = round(float(np.asarray(file["Data.SamplingRate"], np.float64).flat[0]))
            spherical = _text(file["SourcePosition"].attrs.get("Type", "spherical")).startswith("spherical")
            delays = np.asarray(file.get("Data.Delay", np.zeros((1, 2))), np.float64)
            ears = np.asarray(file.get("ReceiverPosition", [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]), np.float64)
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise AssetError(f"SOFA file {path}: {error}") from error
    if convention != "SimpleFreeFieldHRIR":
        raise AssetError(f"SOFA file {path}: holds {convention}, not SimpleFreeFieldHRIR")
    if responses.ndim != 3 or responses.shape[1] != 2 or positions.shape != (len(responses), 3):
        raise AssetError(f"SOFA file {path}: expected impulse responses of two ears, got shape {responses.shape}")
    if not (rate_hz > 0 and np.isfinite(responses).all() and responses.any() and np.isfinite(positions).all()):
        raise AssetError(f"SOFA file {path}: holds no usable numbers")
    directions = unit_vectors(positions[:, 0], positions[:, 1]) if spherical else _normalised(positions)
    if delays.shape in ((1, 2), (len(responses), 2)) and delays.any():
        responses = _delayed(responses, np.broadcast_to(delays, (len(responses), 2)))
    # The order of the ears is the file's own affair.
    if ears.size >= 6 and ears.reshape(2, 3, -1)[0, 1, 0] < ears.reshape(2, 3, -1)[1, 1, 0]:
        responses = responses[:, ::-1]
    if rate_hz != SAMPLE_RATE_HZ:
        from scipy.signal import resample_poly  # heavy, and most files have the rate already

        common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
        responses = resample_poly(responses, SAMPLE_RATE_HZ // common, rate_hz // common, axis=2)
    return Hrtf(path.stem, directions, _equalised(_trimmed(responses)))


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _normalised(positions: Float64) -> Float64:
    return positions / np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)


def _delayed(responses: Float64, delays: Float64) -> Float64:
    """Responses (n, 2, n_taps) later by (n, 2) samples, to a fraction of one; what all have in common is left out."""
    delays = delays - delays.min()
    n_fft = 2 ** math.ceil(math.log2(responses.shape[2] + math.ceil(float(delays.max())) + 64))
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(n_fft) * delays[..., None])
    return np.fft.irfft(np.fft.rfft(responses, n_fft, axis=2) * turn, n_fft, axis=2)


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

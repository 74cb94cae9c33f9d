"""Track* -> Source* == Scene: pixels become directions, sightings become phases, and nothing jumps.

Phases: "in" (just found, fading in), "live" (seen), "hold" (hidden, expected back where prediction puts it),
"out" (gone: fading where it was, or moving on off screen toward the surrounds with its last velocity).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.camera import Camera
from engines.specs import MAX_SOURCES, Ambience, Motion, Phase, Scene, Source, Track, direction_from_angles, wrap_deg
from engines.vision.appearance import dominant_hue

DEFAULT_MAX_SOURCES = 24
FADE_IN_S = 0.15
HOLD_S = 0.5
HOLD_FADE_DB_S = -14.0
FADE_OUT_S = 0.6
CUT_FADE_S = 0.25
OFF_SCREEN_S = 2.5
SILENT_DB = -60.0
_OFF_SCREEN_LIMIT_DEG = 150.0
_OFF_SCREEN_SPEED_DEG_S = (8.0, 90.0)
_STILL_DB = -5.0
_POSITION_GAIN, _VELOCITY_GAIN = 0.55, 0.12
_DISTANCE_TIME_S = 0.4
_ENERGY_TIME_S = 0.12
_MAX_EXTENT_DEG = 120.0
_NESTED_SHARE = 0.7
_NESTED_PATIENCE_S = 1.0
_RELABEL_S = 1.0
_GAIT_WINDOW_S = 2.0
_GAIT_RANGE_HZ = (0.7, 4.5)


@dataclass(slots=True)
class _Sounding:
    """What the builder remembers of one source."""

    source_id: int
    slot: int
    first_s: float
    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    extent_deg: float
    track: Track
    azimuth_deg_s: float = 0.0
    elevation_deg_s: float = 0.0
    energy: float = 0.0
    label: str = ""
    votes: dict[str, float] = field(default_factory=dict)
    history: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=128))
    gait_hz: float = 0.0
    gait_checked_s: float = -math.inf
    gone_s: float | None = None
    off_screen: bool = False
    fade_s: float = FADE_OUT_S
    hold_db: float = 0.0


class SceneBuilder:
    """Turns the tracks of each frame into the scene that is heard.

    Args:
        camera: of the frames.
        max_sources: at most this many sound at once, 1..MAX_SOURCES.
    """

    def __init__(self, camera: Camera, max_sources: int = DEFAULT_MAX_SOURCES) -> None:
        self._camera = camera
        self._max_sources = min(max_sources, MAX_SOURCES)
        self._sounding: dict[int, _Sounding] = {}
        self._t_s = -math.inf
        self._seq = 0

    def step(self, tracks: Sequence[Track], t_s: float, ambience: Ambience, *, cut: bool = False) -> Scene:
        """The scene after one frame.

        Args:
            tracks: all confirmed tracks, seen or not.
            t_s: time of the frame.
            ambience: of the picture.
            cut: the picture was cut: what sounded belongs to another place.
        """
        dt_s = min(max(t_s - self._t_s, 1e-4), 0.5) if math.isfinite(self._t_s) else 0.0
        self._t_s = t_s
        current = {track.track_id: track for track in tracks}
        for source_id, sounding in self._sounding.items():
            track = current.get(source_id)
            if track is not None and sounding.gone_s is None:
                self._follow(sounding, track, t_s, dt_s)
            else:
                self._leave(sounding, t_s, dt_s, cut)
        for track in sorted(tracks, key=_importance, reverse=True):
            if track.track_id not in self._sounding and track.missed_s == 0 and not self._nested(track):
                self._begin(track, t_s)
        sources = tuple(self._published(s, t_s) for s in self._sounding.values())
        for source in sources:
            if source.phase == "out" and source.gain_db <= SILENT_DB:
                del self._sounding[source.source_id]
        self._seq += 1
        return Scene(t_s, sources, self._seq, ambience)

    # -- life of a source -----------------------------------------------------------------------------------------

    def _begin(self, track: Track, t_s: float) -> None:
        taken = {s.slot for s in self._sounding.values()}
        live = sum(s.gone_s is None for s in self._sounding.values())
        slot = next((i for i in range(MAX_SOURCES) if i not in taken), None)
        if slot is None or live >= self._max_sources:
            return
        azimuth, elevation = self._direction(track)
        sounding = _Sounding(
            source_id=track.track_id,
            slot=slot,
            first_s=t_s,
            azimuth_deg=azimuth,
            elevation_deg=elevation,
            distance_m=_finite(track.region.depth_m),
            extent_deg=self._extent_deg(track),
            track=track,
            energy=track.region.energy,
        )
        self._vote(sounding, track, t_s, 1.0)
        self._sounding[track.track_id] = sounding

    def _follow(self, sounding: _Sounding, track: Track, t_s: float, dt_s: float) -> None:
        """Alpha-beta filter on the direction; without lag at constant speed."""
        sounding.track = track
        azimuth, elevation = self._direction(track)
        for name, measured in (("azimuth", azimuth), ("elevation", elevation)):
            rate = getattr(sounding, f"{name}_deg_s")
            predicted = getattr(sounding, f"{name}_deg") + rate * dt_s
            error = wrap_deg(measured - predicted)
            setattr(sounding, f"{name}_deg", wrap_deg(predicted + _POSITION_GAIN * error))
            if dt_s > 0:
                setattr(sounding, f"{name}_deg_s", rate + _VELOCITY_GAIN * error / dt_s)
        if track.missed_s > 0:
            if track.missed_s > HOLD_S:
                sounding.hold_db += HOLD_FADE_DB_S * dt_s
            return
        sounding.hold_db = min(0.0, sounding.hold_db + 60.0 * dt_s)
        share = 1.0 - math.exp(-dt_s / _DISTANCE_TIME_S)
        sounding.distance_m *= (_finite(track.region.depth_m) / sounding.distance_m) ** share
        sounding.extent_deg += share * (self._extent_deg(track) - sounding.extent_deg)
        sounding.energy += (1.0 - math.exp(-dt_s / _ENERGY_TIME_S)) * (track.region.energy - sounding.energy)
        sounding.history.append((t_s, track.region.energy))
        if t_s - sounding.gait_checked_s > 0.4:
            sounding.gait_checked_s = t_s
            sounding.gait_hz = dominant_rate_hz(list(sounding.history), t_s)
        self._vote(sounding, track, t_s, dt_s)

    def _leave(self, sounding: _Sounding, t_s: float, dt_s: float, cut: bool) -> None:
        """The track is gone: fade, and move on if it went out of the picture."""
        if sounding.gone_s is None:
            sounding.gone_s = t_s
            sounding.off_screen = not cut and self._went_out(sounding.track)
            sounding.fade_s = CUT_FADE_S if cut else OFF_SCREEN_S if sounding.off_screen else FADE_OUT_S
            if sounding.off_screen:
                low, high = _OFF_SCREEN_SPEED_DEG_S
                speed = min(max(abs(sounding.azimuth_deg_s), low), high)
                sounding.azimuth_deg_s = math.copysign(speed, sounding.azimuth_deg)
                sounding.elevation_deg_s = 0.0
        if cut:
            sounding.fade_s = min(sounding.fade_s, t_s - sounding.gone_s + CUT_FADE_S)
        sounding.energy *= math.exp(-dt_s / 0.5)
        if sounding.off_screen:
            limit = _OFF_SCREEN_LIMIT_DEG
            moved = sounding.azimuth_deg + sounding.azimuth_deg_s * dt_s
            sounding.azimuth_deg = (
                min(max(moved, -limit), limit) if abs(sounding.azimuth_deg) <= limit else sounding.azimuth_deg
            )

    def _went_out(self, track: Track) -> bool:
        camera = self._camera
        if camera.wraps:
            return False
        x0, _, x1, _ = track.region.box_px
        edge = 0.03 * camera.width_px
        return (x0 <= edge and track.velocity_px_s[0] < 0) or (
            x1 >= camera.width_px - edge and track.velocity_px_s[0] > 0
        )

    def _nested(self, track: Track) -> bool:
        """A young track inside a sounding one is most likely a part of it."""
        if track.age_s > _NESTED_PATIENCE_S:
            return False
        x0, y0, x1, y1 = track.region.box_px
        area = (x1 - x0) * (y1 - y0)
        for other in self._sounding.values():
            if other.gone_s is not None or other.track.missed_s > 0:
                continue
            ox0, oy0, ox1, oy1 = other.track.region.box_px
            shared = max(0.0, min(x1, ox1) - max(x0, ox0)) * max(0.0, min(y1, oy1) - max(y0, oy0))
            if shared > _NESTED_SHARE * area and (ox1 - ox0) * (oy1 - oy0) > 1.3 * area:
                return True
        return False

    # -- geometry and names ---------------------------------------------------------------------------------------

    def _direction(self, track: Track) -> tuple[float, float]:
        azimuth, elevation = self._camera.angles_deg(*track.region.centre_px)
        return wrap_deg(self._camera.staged_deg(azimuth)), max(-85.0, min(85.0, elevation))

    def _extent_deg(self, track: Track) -> float:
        x0, _, x1, _ = track.region.box_px
        v = track.region.centre_px[1]
        left, right = (self._camera.staged_deg(self._camera.angles_deg(u, v)[0]) for u in (x0, x1))
        return min(abs(left - right), _MAX_EXTENT_DEG)

    def _vote(self, sounding: _Sounding, track: Track, t_s: float, weight: float) -> None:
        """What it is called: settled after a second, but what was still may turn out to move."""
        name = self._kind(track)
        for other in sounding.votes:
            sounding.votes[other] *= math.exp(-weight)
        sounding.votes[name] = sounding.votes.get(name, 0.0) + weight
        best = max(sounding.votes, key=lambda n: sounding.votes[n])
        young = t_s - sounding.first_s < _RELABEL_S
        woke = sounding.label.endswith("thing") and best.endswith("mover") and sounding.votes[best] > 0.3
        if not sounding.label or young or woke:
            sounding.label = best

    def _kind(self, track: Track) -> str:
        """Builtin regions are named by shape and place; regions of a network have names of their own."""
        region = track.region
        if region.label not in ("mover", "still"):
            return region.label
        if region.label == "still":
            hue = dominant_hue(region.embedding)
            return f"{hue} thing" if hue else "still thing"
        x0, y0, x1, y1 = region.box_px
        aspect = (x1 - x0) / max(y1 - y0, 1e-6)
        share = (x1 - x0) * (y1 - y0) / (self._camera.width_px * self._camera.height_px)
        if y1 < 0.45 * self._camera.height_px and share < 0.04:
            return "high mover"
        if share < 0.004:
            return "small mover"
        if aspect < 0.75:
            return "tall mover"
        if aspect > 1.5:
            return "wide mover"
        return "large mover" if share > 0.08 else "small mover"

    def _published(self, sounding: _Sounding, t_s: float) -> Source:
        phase, gain_db = self._phase(sounding, t_s)
        if sounding.label.endswith("thing"):
            gain_db += _STILL_DB
        region = sounding.track.region
        height_px = region.box_px[3] - region.box_px[1]
        turn = math.radians(math.hypot(sounding.azimuth_deg_s, sounding.elevation_deg_s))
        x, y, z = direction_from_angles(sounding.azimuth_deg, sounding.elevation_deg)
        return Source(
            source_id=sounding.source_id,
            slot=sounding.slot,
            label=sounding.label,
            position_m=(x * sounding.distance_m, y * sounding.distance_m, z * sounding.distance_m),
            extent_deg=sounding.extent_deg,
            gain_db=gain_db,
            motion=Motion(
                speed_m_s=turn * sounding.distance_m,
                energy=min(1.0, max(0.0, sounding.energy)),
                gait_hz=sounding.gait_hz,
                size_m=height_px * sounding.distance_m / self._camera.focal_px,
            ),
            phase=phase,
            score=region.score,
            region=region if phase in ("in", "live") else None,
        )

    def _phase(self, sounding: _Sounding, t_s: float) -> tuple[Phase, float]:
        if sounding.gone_s is not None:
            done = (t_s - sounding.gone_s) / sounding.fade_s
            return "out", sounding.hold_db + SILENT_DB * min(1.0, done) ** 1.5
        age_s = t_s - sounding.first_s
        if sounding.track.missed_s > 0:
            return "hold", sounding.hold_db
        if age_s < FADE_IN_S:
            return "in", 20.0 * math.log10(0.3 + 0.7 * age_s / FADE_IN_S)
        return "live", sounding.hold_db


def _importance(track: Track) -> float:
    x0, y0, x1, y1 = track.region.box_px
    return track.region.score * math.sqrt(max(0.0, (x1 - x0) * (y1 - y0)))


def _finite(distance_m: float) -> float:
    return distance_m if math.isfinite(distance_m) and distance_m > 0.1 else 4.0


def dominant_rate_hz(history: Sequence[tuple[float, float]], now_s: float) -> float:
    """Strongest periodicity of a signal sampled at uneven times, or 0.

    Args:
        history: (t_s, value) in order of time.
        now_s: only the last two seconds before it count.

    Returns:
        Frequency in hertz within 0.7..4.5 where the normalised autocorrelation has its first clear peak.
    """
    recent = [(t, v) for t, v in history if now_s - t <= _GAIT_WINDOW_S]
    if len(recent) < 16 or recent[-1][0] - recent[0][0] < 0.7 * _GAIT_WINDOW_S:
        return 0.0
    step_s = (recent[-1][0] - recent[0][0]) / (len(recent) - 1)
    values = [v for _, v in recent]
    mean = sum(values) / len(values)
    centred = [v - mean for v in values]
    power = sum(v * v for v in centred)
    if power < 1e-3 * len(values):
        return 0.0
    first = max(2, math.ceil(1.0 / (_GAIT_RANGE_HZ[1] * step_s)))
    last = min(2 * len(values) // 3, math.floor(1.0 / (_GAIT_RANGE_HZ[0] * step_s)))
    correlation = {
        lag: sum(a * b for a, b in zip(centred, centred[lag:], strict=False))
        / power
        * len(values)
        / (len(values) - lag)
        for lag in range(first - 1, last + 2)
        if 0 < lag < len(values)
    }
    for lag in range(first, last + 1):
        before, here, after = (correlation.get(lag + k, -1.0) for k in (-1, 0, 1))
        # Noise correlates with itself by chance, the more the fewer samples overlap.
        if here > max(0.4, min(0.9, 3.2 / math.sqrt(len(values) - lag))) and here >= before and here >= after:
            return 1.0 / (lag * step_s)
    return 0.0

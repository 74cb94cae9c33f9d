"""Scene -> sound: every source in its seat with a voice of its own, the bed around them, all of it rendered.

One call a block. Nothing here waits, and whatever the scene does between two calls, nothing clicks: a voice that goes
is faded before its seat is given away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from engines.sound.bed import Bed
from engines.sound.naming import voice_for
from engines.sound.presence import Presence
from engines.sound.registry import VOICES, make_voice
from engines.sound.voice import Voice
from engines.spatial.bank import MAIN_AZIMUTHS_DEG, N_MAIN, RirBank
from engines.spatial.layouts import Layout
from engines.spatial.panning import balanced_weights
from engines.spatial.renderer import AZIMUTH, DISTANCE, ELEVATION, EXTENT, GAIN, LFE, N_PLACEMENT, Renderer
from engines.specs import (
    BLOCK,
    BLOCK_S,
    CHANNELS_5_1,
    MAX_SOURCES,
    SAMPLE_RATE_HZ,
    Ambience,
    Float32,
    Motion,
    Scene,
    Source,
)

# A voice that has left still gets this long to fade in the renderer.
_LEAVE_BLOCKS = 8
_VOICE_FADE_BLOCKS = 4
# A source this quiet is not rendered.
_INAUDIBLE_DB = -59.0
# Level of the bed alone, and while anything sounds: then it steps back, so that it does not blur where things are.
_BED_ALONE_DB, _BED_BEHIND_DB = -12.0, -20.0
_BED_MOVE_DB_S = 6.0
# Many sources step back together, by half (in dB) of what they would add up to: 1.5 dB per doubling of their number.
_CROWD_DB_PER_DECADE = 5.0
CROWD_FALL_DB_S, CROWD_RISE_DB_S = 3.0, 0.8
_TONE_LEVEL = 0.1
# A tone for each channel, far enough apart to tell them by ear and by filter.
CHANNEL_TONES_HZ = {"FL": 400.0, "FR": 600.0, "FC": 800.0, "LFE": 80.0, "BL": 1000.0, "BR": 1250.0}


@dataclass(frozen=True, slots=True)
class Mix:
    """What the listener wants of the sources; immutable, swapped by reference.

    Attributes:
        muted: ids that are silent.
        solo: when not empty, all other ids are silent.
        gain_db: per id.
        bed_db: level of the ambience; -inf switches it off.
        test_tones: a different tone in each channel instead of the scene.
        night: a smaller dynamic range, for the level control behind this.
    """

    muted: frozenset[int] = frozenset()
    solo: frozenset[int] = frozenset()
    gain_db: Mapping[int, float] | None = None
    bed_db: float = 0.0
    test_tones: bool = False
    night: bool = False

    def gain(self, source_id: int) -> float:
        """Linear gain of a source."""
        if source_id in self.muted or (self.solo and source_id not in self.solo):
            return 0.0
        return 10.0 ** (self.gain_db.get(source_id, 0.0) / 20.0) if self.gain_db else 1.0


@dataclass(slots=True)
class _Seat:
    """Who sounds in a slot."""

    source_id: int
    voice_name: str
    voice: Voice
    presence: Presence
    label: str
    motion: Motion
    leaving: int = 0
    old_voice: Voice | None = None
    fade: int = 0


class Soundscape:
    """The whole audio engine behind one call.

    Args:
        bank: impulse responses of the room.
        layouts: what to render.
        seed: of every voice and of the bed; the same seed and scenes give the same samples.
        n_slots: number of sources that can sound at once.
        doppler: as in `Renderer`.
    """

    def __init__(
        self,
        bank: RirBank,
        layouts: Iterable[Layout],
        seed: int = 0,
        n_slots: int = MAX_SOURCES,
        doppler: bool = False,
    ) -> None:
        self._seed = seed
        self._renderer = Renderer(bank, layouts, n_slots, doppler)
        self._bed = Bed(seed)
        self._seats: list[_Seat | None] = [None] * n_slots
        self._dry = np.zeros((n_slots, BLOCK), np.float32)
        self._placement = np.zeros((n_slots, N_PLACEMENT))
        self._placement[:, DISTANCE] = 1.0
        self._sounding = np.zeros(n_slots, np.bool_)
        self._bed_balance = np.sqrt(N_MAIN * balanced_weights(MAIN_AZIMUTHS_DEG))[:, None]
        self._bed_db = _BED_ALONE_DB
        self._crowd_db: float | None = None
        self._tone_position = 0
        self.mix = Mix()

    @property
    def renderer(self) -> Renderer:
        """For room and layout changes."""
        return self._renderer

    @property
    def crowd_db(self) -> float:
        """Gain that all sources share because of their number, <= 0."""
        return self._crowd_db or 0.0

    def voices(self) -> dict[int, str]:
        """Voice name by source id, of everything that sounds now."""
        return {seat.source_id: seat.voice_name for seat in self._seats if seat is not None and not seat.leaving}

    def step(self, scene: Scene) -> Mapping[str, Float32]:
        """The next 10 ms: by layout name, float32 (n_channels, BLOCK), before level control."""
        mix = self.mix
        present: dict[int, Source] = {s.slot: s for s in scene.sources if s.gain_db > _INAUDIBLE_DB}
        self._make_room_for(present.values(), mix)
        for slot in range(len(self._seats)):
            self._seat(slot, present.get(slot), mix)
        bed = self._bed_block(scene.ambience, mix)
        rendered = self._renderer.step(self._dry, self._placement, self._sounding, bed)
        return self._tones(rendered) if mix.test_tones else rendered

    def _make_room_for(self, sources: Iterable[Source], mix: Mix) -> None:
        """Move the gain that all sources share towards what suits their number; a fading one counts less than one."""
        number = sum(min(1.0, 10.0 ** (s.gain_db / 10.0) * mix.gain(s.source_id) ** 2) for s in sources)
        if number == 0.0:
            # After silence the first sources come in at their level.
            self._crowd_db = None
            return
        target_db = -_CROWD_DB_PER_DECADE * math.log10(max(number, 1.0))
        before_db = target_db if self._crowd_db is None else self._crowd_db
        self._crowd_db = min(
            before_db + CROWD_RISE_DB_S * BLOCK_S, max(before_db - CROWD_FALL_DB_S * BLOCK_S, target_db)
        )

    def _bed_block(self, ambience: Ambience, mix: Mix) -> Float32:
        """The next 10 ms of the bed, float32 (N_MAIN, BLOCK)."""
        before_db = self._bed_db
        target_db = _BED_BEHIND_DB if any(seat and not seat.leaving for seat in self._seats) else _BED_ALONE_DB
        step_db = _BED_MOVE_DB_S * BLOCK_S
        self._bed_db += min(step_db, max(-step_db, target_db - before_db))
        if not math.isfinite(mix.bed_db):
            return np.zeros((N_MAIN, BLOCK), np.float32)
        level_db = np.linspace(before_db, self._bed_db, BLOCK, endpoint=False) + mix.bed_db
        gains = self._bed_balance * 10.0 ** (level_db / 20.0)
        return self._bed.render(BLOCK, ambience) * gains.astype(np.float32)

    # -- seats ----------------------------------------------------------------------------------------------------

    def _seat(self, slot: int, source: Source | None, mix: Mix) -> None:
        """Bring one slot up to date and render its voice."""
        seat = self._seats[slot]
        if seat is None and source is None:
            return
        if seat is not None and (source is None or source.source_id != seat.source_id):
            seat.leaving += 1
            if seat.leaving > _LEAVE_BLOCKS:
                self._renderer.reset(slot)
                self._seats[slot], self._sounding[slot] = None, False
                seat = None
        if seat is None:
            if source is None:
                return
            seat = self._take_seat(slot, source)
        if seat.leaving:
            if source is not None and source.source_id == seat.source_id:
                seat.leaving = 0
            else:
                self._placement[slot, GAIN] = 0.0
        if not seat.leaving and source is not None:
            self._follow(slot, seat, source, mix)
        self._dry[slot] = self._voice_block(seat)

    def _take_seat(self, slot: int, source: Source) -> _Seat:
        name = voice_for(source.label, source.source_id, self._seed, source.motion)
        voice, presence = self._new_voice(name, source), Presence(self._seed * 1009 + source.source_id)
        seat = _Seat(source.source_id, name, voice, presence, source.label, source.motion)
        self._seats[slot], self._sounding[slot] = seat, True
        return seat

    def _new_voice(self, name: str, source: Source) -> Voice:
        return make_voice(name, self._seed * 1009 + source.source_id)

    def _follow(self, slot: int, seat: _Seat, source: Source, mix: Mix) -> None:
        """Voice, motion and place of a source that goes on."""
        if source.label != seat.label:
            seat.label = source.label
            name = voice_for(source.label, source.source_id, self._seed, source.motion)
            if name != seat.voice_name:
                seat.old_voice, seat.fade = seat.voice, 0
                seat.voice, seat.voice_name = self._new_voice(name, source), name
        seat.motion = source.motion
        level_db = source.gain_db + VOICES[seat.voice_name].natural_db + self.crowd_db
        row = self._placement[slot]
        row[AZIMUTH], row[ELEVATION] = source.azimuth_deg, source.elevation_deg
        row[DISTANCE], row[EXTENT] = max(source.distance_m, 0.1), source.extent_deg
        row[GAIN], row[LFE] = 10.0 ** (level_db / 20.0) * mix.gain(source.source_id), 1.0

    def _voice_block(self, seat: _Seat) -> Float32:
        block = seat.voice.render(BLOCK, seat.motion)
        if seat.old_voice is not None:
            at = (seat.fade + np.arange(BLOCK, dtype=np.float32) / BLOCK) / _VOICE_FADE_BLOCKS
            old = seat.old_voice.render(BLOCK, seat.motion)
            block = np.sin(0.5 * np.pi * at) * block + np.cos(0.5 * np.pi * at) * old
            seat.fade += 1
            if seat.fade == _VOICE_FADE_BLOCKS:
                seat.old_voice = None
        seat.presence.fill(block, seat.motion)
        return block

    def _tones(self, rendered: Mapping[str, Float32]) -> Mapping[str, Float32]:
        """A tone of its own for every channel of the layouts that have loudspeakers."""
        time_s = (self._tone_position + np.arange(BLOCK)) / SAMPLE_RATE_HZ
        self._tone_position += BLOCK
        names = {6: CHANNELS_5_1, 2: ("FL", "FR")}
        result = {}
        for layout, block in rendered.items():
            tones = [np.sin(2.0 * np.pi * CHANNEL_TONES_HZ[c] * time_s) for c in names.get(len(block), ())]
            result[layout] = (_TONE_LEVEL * np.stack(tones)).astype(np.float32) if tones else block
        return result

"""A file into a file: the live pipeline on a manual clock.

Two passes. The first reads the pictures and renders the sound into a spool beside the output; the second gives it the
level that only the whole programme can tell, and writes it beside the copied video. Stages: reader (calling thread:
perception) -> queue of 8 -> sound (own thread: soundscape, spool). Files are decoded a few frames ahead, and the final
level is worked out ahead of the encoder.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.camera import DEFAULT_HFOV_DEG, Camera, Projection, Stage
from engines.errors import ConfigError, EarshotError, InputError, OutputError
from engines.perception import Perception
from engines.sound.labelling import Labeller
from engines.sound.naming import LabelRule
from engines.soundscape import Soundscape
from engines.spatial.bank import load_bank
from engines.spatial.layouts import Layout
from engines.spatial.level import programme_gain_db
from engines.spatial.limiter import LIMITER_DELAY, Limiter
from engines.spatial.loudness import LoudnessMeter, PeakMeter
from engines.spatial.night import NightMode
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32, Frame, Scene
from engines.vision import VisionEngine
from stream.ahead import read_ahead
from stream.clock import Clock
from stream.inputs.base import VideoInput
from stream.inputs.media import MediaInput
from stream.inputs.opening import open_input
from stream.inputs.synthetic import SyntheticInput
from stream.muxing import OutputPlan, VideoSpool, can_copy_video, plan_output, write_file
from stream.rows import RowWriter, scene_row, truth_row

logger = logging.getLogger(__name__)

STILL_S = 10.0
_QUEUE = 8
_AHEAD = 4
_READ_BLOCKS = 100


@dataclass(frozen=True, slots=True)
class RenderJob:
    """What to render.

    Attributes:
        uri: input, see `open_input`.
        out: output file.
        layout: of the output.
        bank: directory of the room's impulse responses.
        seed: of all voices.
        doppler: whether sound takes the time that its way takes.
        stage: how far the picture is spread.
        hfov_deg: field of view; None takes what the input says, else 70.
        projection: None takes what the input says, else pinhole.
        duration_s: stop after this; None for the whole input (10 s for a standing picture).
        trace: JSON lines per frame.
        truth: ground truth, synthetic inputs only.
        rules: names for sources.
        prompt: names for the rest.
        codec: audio codec; None for the container's usual one.
        offline: refuse network inputs.
        night: compress the dynamic range.
    """

    uri: str
    out: Path
    layout: Layout
    bank: Path
    seed: int = 0
    doppler: bool = False
    stage: Stage = "natural"
    hfov_deg: float | None = None
    projection: Projection | None = None
    duration_s: float | None = None
    trace: Path | None = None
    truth: Path | None = None
    rules: tuple[LabelRule, ...] = ()
    prompt: str = ""
    codec: str | None = None
    offline: bool = False
    night: bool = False


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What came out.

    Attributes:
        duration_s: of the sound.
        frames: read.
        sources: ids heard.
        integrated_lufs: loudness of the file.
        peak_dbtp: its true peak.
        copied: the video stream was copied rather than encoded; None without video.
    """

    duration_s: float
    frames: int
    sources: int
    integrated_lufs: float
    peak_dbtp: float
    copied: bool | None


# Called with (stage, seconds done, seconds in all or None).
Progress = Callable[[str, float, float | None], None]


@dataclass(slots=True)
class _Programme:
    """The first pass as it goes."""

    frames: int = 0
    end_s: float = 0.0
    sources: set[int] = field(default_factory=set)


def render(
    job: RenderJob, clock: Clock, engine: Callable[[Camera], VisionEngine] | None, progress: Progress
) -> RenderReport:
    """Render a file.

    Args:
        job: what.
        clock: for inputs without a time base.
        engine: makes the vision engine for a camera; None for the builtin one.
        progress: told about both passes.

    Raises:
        EarshotError: anything the user can act on.
        KeyboardInterrupt: interrupted; what was rendered so far lies in `OUT.part`.
    """
    plan = plan_output(job.out, job.layout.name, job.codec)
    source = open_input(job.uri, clock, offline=job.offline)
    if job.truth is not None and not isinstance(source, SyntheticInput):
        source.close()
        raise ConfigError("--truth needs a synthetic: input; nothing else knows the truth")
    if job.out.exists() and Path(job.uri).exists() and Path(job.uri).samefile(job.out):
        source.close()
        raise ConfigError(f"{job.out}: input and output are the same file")
    copied = plan.has_video and isinstance(source, MediaInput) and can_copy_video(job.uri, plan)
    work = _Work(job, plan, source, copied, progress)
    try:
        programme, interrupted = work.first_pass(engine)
        if programme.frames == 0:
            raise InputError(f"{job.uri}: no picture in it can be decoded")
        report = work.second_pass(programme, interrupted)
    except BaseException as error:
        work.rows_abandoned()
        if isinstance(error, EarshotError):
            plan.part.unlink(missing_ok=True)
        raise
    finally:
        source.close()
        work.remove_spools()
    if interrupted:
        work.rows_abandoned()
        raise KeyboardInterrupt
    work.rows_finished()
    try:
        plan.part.replace(plan.path)
    except OSError as error:
        raise OutputError(f"{plan.path}: {error.strerror or error}") from error
    return report


class _Work:
    """One render: its spools, its sound thread, its rows."""

    def __init__(self, job: RenderJob, plan: OutputPlan, source: VideoInput, copied: bool, progress: Progress) -> None:
        self._job, self._plan, self._source, self._copied, self._progress = job, plan, source, copied, progress
        self._scenes: queue.Queue[tuple[Scene, int] | None] = queue.Queue(maxsize=_QUEUE)
        self._failure: Exception | None = None
        self._loudness = LoudnessMeter(job.layout.loudness_weights)
        self._peak = PeakMeter(job.layout.n_channels)
        self._written = 0
        self._video: VideoSpool | None = None
        self._trace = RowWriter(job.trace) if job.trace else None
        self._truth = RowWriter(job.truth) if job.truth else None

    # -- first pass -----------------------------------------------------------------------------------------------

    def first_pass(self, engine: Callable[[Camera], VisionEngine] | None) -> tuple[_Programme, bool]:
        """Read all pictures, render all sound; returns whether Ctrl-C cut it short."""
        programme = _Programme()
        soundscape = Soundscape(
            load_bank(self._job.bank), [self._job.layout], self._job.seed, doppler=self._job.doppler
        )
        sound = threading.Thread(target=self._sound, args=(soundscape,), name="sound")
        sound.start()
        interrupted = False
        try:
            self._read(programme, engine)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self._scenes.put(None)
            sound.join()
        if self._video is not None:
            self._video.close()
        if self._failure is not None:
            raise self._failure
        return programme, interrupted

    def _read(self, programme: _Programme, engine: Callable[[Camera], VisionEngine] | None) -> None:
        job, info = self._job, self._source.info
        limit_s = job.duration_s
        if limit_s is None and info.still and info.duration_s is None:
            limit_s = STILL_S
        total_s = min((d for d in (limit_s, info.duration_s) if d is not None), default=None)
        frames = self._source.frames()
        # The ground truth of a synthetic scene belongs to the frame that was painted last: no working ahead there.
        if isinstance(self._source, MediaInput):
            frames = read_ahead(frames, _AHEAD, "decoder")
        with contextlib.closing(frames):
            self._look(frames, programme, engine, limit_s, total_s)

    def _look(
        self,
        frames: Iterator[Frame],
        programme: _Programme,
        engine: Callable[[Camera], VisionEngine] | None,
        limit_s: float | None,
        total_s: float | None,
    ) -> None:
        job = self._job
        perception: Perception | None = None
        scene = Scene(0.0)
        for frame in frames:
            if limit_s is not None and frame.t_s >= limit_s - 1e-9:
                programme.end_s = limit_s
                break
            if self._failure is not None:
                return
            camera = self._camera(frame)
            if perception is None or perception.camera != camera:
                perception = Perception(camera, engine and engine(camera), Labeller(job.rules, job.prompt))
            # Until this frame, the scene of the frame before is heard.
            self._scenes.put((scene, round(frame.t_s * SAMPLE_RATE_HZ)))
            scene = perception.step(frame)
            self._note(scene, frame, programme, camera)
            self._keep_picture(frame)
            programme.end_s = self._source.end_s if limit_s is None else min(self._source.end_s, limit_s)
            self._progress("rendering", frame.t_s, total_s)
        self._scenes.put((scene, round(programme.end_s * SAMPLE_RATE_HZ)))

    def _keep_picture(self, frame: Frame) -> None:
        """Encode what has no video stream to copy."""
        if not self._plan.has_video or self._copied:
            return
        if self._video is None:
            height, width = frame.rgb.shape[:2]
            self._video = VideoSpool(self._plan, width, height, self._source.info.fps)
        self._video.add(frame.rgb, frame.pts)

    def _camera(self, frame: Frame) -> Camera:
        job, info = self._job, self._source.info
        return Camera(
            width_px=frame.rgb.shape[1],
            height_px=frame.rgb.shape[0],
            hfov_deg=job.hfov_deg or info.hfov_deg or DEFAULT_HFOV_DEG,
            projection=job.projection or info.projection or "pinhole",
            stage=job.stage,
        )

    def _note(self, scene: Scene, frame: Frame, programme: _Programme, camera: Camera) -> None:
        info = self._source.info
        programme.sources.update(s.source_id for s in scene.sources)
        if self._trace is not None:
            scale = info.width_px / frame.rgb.shape[1], info.height_px / frame.rgb.shape[0]
            self._trace.add(scene_row(scene, programme.frames, scale))
        if self._truth is not None and isinstance(self._source, SyntheticInput):
            self._truth.add(truth_row(self._source.truth, frame.t_s, programme.frames, camera))
        programme.frames += 1

    def _sound(self, soundscape: Soundscape) -> None:
        """Thread: scenes in order -> spool of interleaved float32."""
        try:
            with self._plan.sound_spool.open("wb") as spool:
                scene, until = Scene(0.0), 0
                while (item := self._scenes.get()) is not None:
                    scene, until = item
                    while self._written + BLOCK <= until:
                        self._spool_block(soundscape, scene, spool)
                # The last block is rendered whole and cut when it is read back.
                if self._written < until:
                    self._spool_block(soundscape, scene, spool)
        except OSError as error:
            self._failure = OutputError(f"{self._plan.path}: {error.strerror or error}")
        except Exception as error:  # handed to the reading thread, which raises it
            self._failure = error
        finally:
            self._drain()

    def _spool_block(self, soundscape: Soundscape, scene: Scene, spool: BinaryIO) -> None:
        block = soundscape.step(scene)[self._job.layout.name]
        self._loudness.step(block)
        self._peak.step(block)
        spool.write(np.ascontiguousarray(block.T).tobytes())
        self._written += BLOCK

    def _drain(self) -> None:
        """After a failure the reader must not wait for room in the queue."""
        while self._failure is not None:
            try:
                if self._scenes.get(timeout=5.0) is None:
                    return
            except queue.Empty:
                return

    # -- second pass ----------------------------------------------------------------------------------------------

    def second_pass(self, programme: _Programme, interrupted: bool) -> RenderReport:
        """Level the sound and write the file."""
        weights = self._job.layout.loudness_weights
        n_samples = round(programme.end_s * SAMPLE_RATE_HZ)
        if interrupted:
            n_samples = min(n_samples, self._written)
        ceiling = self._plan.ceiling_dbtp
        self._progress("levelling", 0.0, None)
        heard, highest = self._loudness, self._peak
        if self._job.night:
            heard, highest = LoudnessMeter(weights), PeakMeter(self._job.layout.n_channels)
            for block in self._programme(n_samples):
                heard.step(block)
                highest.step(block)
        gain_db = programme_gain_db(heard, highest.peak_dbtp, ceiling, weights, lambda: self._programme(n_samples))
        loudness, peak = LoudnessMeter(weights), PeakMeter(self._job.layout.n_channels)
        video = None
        if self._plan.has_video:
            video = self._job.uri if self._copied else str(self._plan.video_spool)
        until_s = programme.end_s if interrupted or self._job.duration_s is not None else None
        mastered = self._mastered(n_samples, gain_db, ceiling, loudness, peak)
        with contextlib.closing(read_ahead(mastered, _AHEAD, "master")) as blocks:
            write_file(self._plan, blocks, video, until_s)
        return RenderReport(
            duration_s=n_samples / SAMPLE_RATE_HZ,
            frames=programme.frames,
            sources=len(programme.sources),
            integrated_lufs=loudness.integrated_lufs(),
            peak_dbtp=peak.peak_dbtp,
            copied=self._copied if self._plan.has_video else None,
        )

    def _spooled(self, n_samples: int) -> Iterator[Float32]:
        """The programme as it was rendered, float32 (n_channels, n), n_samples in all."""
        n_channels = self._job.layout.n_channels
        left = n_samples
        with self._plan.sound_spool.open("rb") as spool:
            while left > 0:
                data = spool.read(min(left, _READ_BLOCKS * BLOCK) * n_channels * 4)
                if not data:
                    break
                block = np.frombuffer(data, np.float32).reshape(-1, n_channels).T
                left -= block.shape[1]
                yield np.ascontiguousarray(block)

    def _programme(self, n_samples: int) -> Iterator[Float32]:
        """The same, in night mode if that is wanted."""
        loudness_lufs = self._loudness.integrated_lufs()
        if not (self._job.night and math.isfinite(loudness_lufs)):
            return self._spooled(n_samples)
        night = NightMode(self._job.layout.loudness_weights)
        night.reference_lufs = loudness_lufs
        return (night.step(block) for block in self._spooled(n_samples))

    def _mastered(
        self, n_samples: int, gain_db: float, ceiling: float, loudness: LoudnessMeter, peak: PeakMeter
    ) -> Generator[Float32, None, None]:
        """The programme with its final level, exactly n_samples long and not late."""
        limiter = Limiter(self._job.layout.n_channels, ceiling)
        gain = 10.0 ** (gain_db / 20.0)
        skip, given = LIMITER_DELAY, 0
        tail = np.zeros((self._job.layout.n_channels, LIMITER_DELAY), np.float32)
        for block in itertools.chain(self._programme(n_samples), (tail,)):
            y = limiter.step(block, gain)
            if skip:
                dropped = min(skip, y.shape[1])
                y, skip = y[:, dropped:], skip - dropped
            if y.shape[1]:
                y = np.ascontiguousarray(y)
                loudness.step(y)
                peak.step(y)
                given += y.shape[1]
                yield y
                self._progress("writing", given / SAMPLE_RATE_HZ, n_samples / SAMPLE_RATE_HZ)

    # -- the end --------------------------------------------------------------------------------------------------

    def remove_spools(self) -> None:
        """Spools are ours alone; nothing of value is in them once the file is written."""
        self._plan.sound_spool.unlink(missing_ok=True)
        self._plan.video_spool.unlink(missing_ok=True)

    def rows_finished(self) -> None:
        """Trace and truth get their names."""
        for rows in (self._trace, self._truth):
            if rows is not None:
                rows.finish()

    def rows_abandoned(self) -> None:
        """Trace and truth stay `.part`."""
        for rows in (self._trace, self._truth):
            if rows is not None:
                rows.abandon()

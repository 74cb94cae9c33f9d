"""The builtin vision engine: time per frame beside OpenCV's own background subtractor, and how well it follows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.follow import Score, score
from bench.report import Report, percentiles
from engines.camera import DEFAULT_HFOV_DEG, Camera
from engines.perception import Perception
from engines.specs import Frame
from engines.synthetic.scenes import make_scene
from engines.synthetic.stage import Painter, Truth
from stream.inputs.media import MediaInput

SCENES = (
    "orbit",
    "passby",
    "crossing",
    "crossing?n=4",
    "appear",
    "crowd?n=2",
    "crowd?n=4",
    "crowd?n=8",
    "crowd?n=16",
    "shaky",
    "street",
)
BUDGET_MS = 8.0  # p50 at 720p input
_SHORT_S = 2.0


def run(media: Path | None = None, quick: bool = False) -> Report:
    """Follow the synthetic scenes, then the videos of a folder.

    Args:
        media: folder with videos, for times on real pictures.
        quick: two scenes, shortened.
    """
    report = Report("vision")
    for name in SCENES[:2] if quick else SCENES:
        scene = make_scene(name)
        seconds = _SHORT_S if quick else scene.seconds
        report.rows.append(_measure(name, _drawn(name, seconds), scene.stage.camera))
    medians = []
    for path in sorted(media.iterdir()) if media is not None else ():
        try:
            video = MediaInput(str(path))
        except Exception as error:  # a folder may hold anything; say what was left out
            report.notes.append(f"{path.name}: {error}")
            continue
        frames = [frame for frame, _ in zip(video.frames(), range(300), strict=False)]
        video.close()
        camera = Camera(frames[0].rgb.shape[1], frames[0].rgb.shape[0], DEFAULT_HFOV_DEG)
        row = _measure(path.name, ((f, None) for f in frames), camera)
        report.rows.append(row)
        medians.append(row["ms p50"])
    if medians:
        report.passed = max(medians) <= BUDGET_MS
        report.notes.append(f"budget: p50 <= {BUDGET_MS:g} ms on every video")
    report.notes.append("reference: OpenCV MOG2 + connected components on the same small picture, no tracking")
    return report


def _drawn(name: str, seconds: float) -> Iterator[tuple[Frame, list[Truth] | None]]:
    scene = make_scene(name)
    painter = Painter(scene.stage)
    for index in range(round(seconds * scene.fps)):
        t_s = index / scene.fps
        rgb, truth = painter.paint(t_s, index)
        yield Frame(rgb, round(90_000 * t_s), t_s), truth


def _measure(name: str, frames: Iterable[tuple[Frame, list[Truth] | None]], camera: Camera) -> dict[str, object]:
    perception = Perception(camera)
    subtractor = cv2.createBackgroundSubtractorMOG2()
    ours_ms, mog2_ms, followed = [], [], []
    n_sources = 0
    for frame, truth in frames:
        begun = time.perf_counter()
        scene = perception.step(frame)
        ours_ms.append(1000 * (time.perf_counter() - begun))
        begun = time.perf_counter()
        small = cv2.resize(frame.rgb, (320, 180), interpolation=cv2.INTER_AREA)
        cv2.connectedComponentsWithStats((subtractor.apply(small) > 200).astype(np.uint8))
        mog2_ms.append(1000 * (time.perf_counter() - begun))
        n_sources += sum(s.phase in ("in", "live") for s in scene.sources)
        if truth is not None:
            followed.append((scene, truth))
    times, reference = percentiles(ours_ms), percentiles(mog2_ms)
    result = score(followed, camera) if followed else Score()
    return {
        "scene": name,
        "ms p50": times["p50"],
        "p95": times["p95"],
        "p99": times["p99"],
        "MOG2 p50": reference["p50"],
        "sources/frame": n_sources / max(1, len(ours_ms)),
        "found s": result.found_s,
        "one id": result.one_id,
        "swaps": result.swaps,
        "azimuth deg": result.azimuth_deg,
        "false/frame": result.false_per_frame,
    }

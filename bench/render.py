"""`earshot render` on synthetic scenes or a folder of media: speed against real time, level, peak; failures by name."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import av

from bench.report import Report
from engines.errors import EarshotError
from engines.spatial.layouts import make_layout
from stream.clock import MonotonicClock
from stream.render import RenderJob, render

_SYNTHETIC = ("synthetic:passby", "synthetic:crowd?n=4", "synthetic:crowd?n=16")
_BUDGET_X = 3.0


def run(bank: Path, media: Path | None = None, quick: bool = False) -> Report:
    """Render everything once.

    Args:
        bank: directory of a room's impulse responses.
        media: folder whose files and sub-folders are rendered too.
        quick: one short scene only.
    """
    report = Report("render")
    inputs = ["synthetic:passby?seconds=2"] if quick else list(_SYNTHETIC)
    inputs += [str(path) for path in sorted(media.iterdir())] if media is not None else []
    layout = make_layout("5.1")
    speeds = []
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as folder:
        for uri in inputs:
            out = Path(folder) / "out.mp4"
            job = RenderJob(uri=uri, out=out, layout=layout, bank=bank)
            begun = time.perf_counter()
            try:
                result = render(job, MonotonicClock(), None, lambda stage, done, total: None)
            except EarshotError as error:
                report.rows.append(_row(Path(uri).name, str(error)))
                continue
            speed = result.duration_s / (time.perf_counter() - begun)
            speeds.append(speed)
            report.rows.append(
                _row(
                    uri if uri.startswith("synthetic") else Path(uri).name,
                    "done",
                    seconds=result.duration_s,
                    x_real_time=speed,
                    sources=result.sources,
                    lufs=result.integrated_lufs,
                    dbtp=result.peak_dbtp,
                    container_s=_duration_s(out),
                )
            )
    report.passed = bool(speeds) and min(speeds) >= 1.0
    report.notes.append(f"budget: >= {_BUDGET_X:g} x real time for a small clip, faster than real time everywhere")
    return report


def _row(name: str, outcome: str, **figures: float) -> dict[str, object]:
    keys = ("seconds", "x_real_time", "sources", "lufs", "dbtp", "container_s")
    return {"input": name, "outcome": outcome, **{key: figures.get(key) for key in keys}}


def _duration_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base

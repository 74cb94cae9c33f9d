"""Name of a case -> its report."""

from __future__ import annotations

from pathlib import Path

from bench.report import Report


def run_case(case: str, *, bank: Path, media: Path | None, minutes: float, plot: Path | None, quick: bool) -> Report:
    """Run one case; modules are imported when they are needed, some are heavy."""
    if case == "motion-to-sound":
        from bench import motion_to_sound

        return motion_to_sound.run(bank, quick=quick)
    if case == "convolver":
        from bench import convolver

        return convolver.run(quick=quick)
    if case == "render":
        from bench import render

        return render.run(bank, media, quick=quick)
    if case == "vision":
        from bench import vision

        return vision.run(media, quick=quick)
    if case == "directions":
        from bench import directions

        return directions.run(bank, quick=quick)
    from bench import page

    return page.run(minutes=0.1 if quick else minutes, plot=plot)

"""Name of a case -> its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.report import Report


@dataclass(frozen=True, slots=True)
class Options:
    """What cases may use; each takes what it needs.

    Attributes:
        bank: directory of the default room's impulse responses.
        other_bank: makes the directory of another preset's, by name; slow the first time.
        media: folder of videos.
        minutes: how long `page` listens.
        seconds: how long `renderer` is paced, each time.
        plot: where a figure goes (PNG), for the cases that draw one.
        quick: a short run, to see that everything works.
    """

    bank: Path
    other_bank: Callable[[str], Path]
    media: Path | None = None
    minutes: float = 1.0
    seconds: float = 60.0
    plot: Path | None = None
    quick: bool = False


# Cases that draw a figure.
DRAWN = ("convolver", "renderer", "artefacts", "page")


def run_case(case: str, options: Options) -> Report:
    """Run one case; modules are imported when they are needed, some are heavy."""
    quick = options.quick
    if case == "motion-to-sound":
        from bench import motion_to_sound

        return motion_to_sound.run(options.bank, quick=quick)
    if case == "convolver":
        from bench import convolver

        return convolver.run(quick=quick, plot=options.plot)
    if case == "renderer":
        from bench import renderer

        return renderer.run(options.bank, options.other_bank, options.seconds, quick=quick, plot=options.plot)
    if case == "see2sound":
        from bench import see2sound

        return see2sound.run(quick=quick)
    if case == "artefacts":
        from bench import artefacts

        return artefacts.run(options.bank, options.other_bank, quick=quick, plot=options.plot)
    if case == "render":
        from bench import render

        return render.run(options.bank, options.media, quick=quick)
    if case == "vision":
        from bench import vision

        return vision.run(options.media, quick=quick)
    if case == "directions":
        from bench import directions

        return directions.run(options.bank, quick=quick)
    from bench import page

    return page.run(minutes=0.1 if quick else options.minutes, plot=options.plot)

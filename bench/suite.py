"""Name of a case -> its report."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.report import Report
from engines.errors import ConfigError

CASES = (
    "motion-to-sound", "convolver", "renderer", "see2sound", "artefacts", "directions", "render", "vision", "page"
)  # fmt: skip


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


def choose_cases(cases: Sequence[str], plot: Path | None) -> Sequence[str]:
    """The cases to run: all but `page` when none is named.

    Raises:
        ConfigError: an unknown case, or a figure that none of them draws.
    """
    chosen = cases or [case for case in CASES if case != "page"]
    for case in chosen:
        if case not in CASES:
            near = difflib.get_close_matches(case, CASES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"no benchmark called {case!r} (there are {', '.join(CASES)}){hint}")
    if plot is not None and not set(chosen) & set(DRAWN):
        raise ConfigError(f"--plot is for {', '.join(DRAWN)}")
    if plot is not None and plot.suffix != ".png":
        raise ConfigError(f"--plot writes .png, got {plot.name!r}")
    return chosen


def run_cases(cases: Sequence[str], options: Options) -> Iterator[Report]:
    """Run one after the other; of several that draw, each adds its name to the figure's."""
    plot, several = options.plot, len(set(cases) & set(DRAWN)) > 1
    for case in cases:
        own = plot.with_stem(f"{plot.stem}-{case}") if plot is not None and several else plot
        yield _run_case(case, replace(options, plot=own))


def _run_case(case: str, options: Options) -> Report:
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

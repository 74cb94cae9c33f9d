"""Compile every kernel before the first block is due; quick once numba's cache is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from engines.sound.bed import Bed
from engines.sound.registry import VOICES, make_voice
from engines.spatial.bank import GRID_AZIMUTHS, N_MAIN, RirBank
from engines.spatial.layouts import Layout
from engines.spatial.level import LiveLevel
from engines.spatial.loudness import PeakMeter
from engines.spatial.renderer import DISTANCE, GAIN, N_PLACEMENT, Renderer
from engines.specs import BLOCK, Ambience, Frame, Motion


def warm_up(layouts: tuple[Layout, ...], progress: Callable[[int, int], None] | None = None) -> None:
    """Run everything that live work runs, once.

    Args:
        layouts: that will be rendered.
        progress: called with (steps done, steps in all).
    """
    warm_up_sound(layouts, progress)
    warm_up_vision()


def warm_up_sound(layouts: tuple[Layout, ...], progress: Callable[[int, int], None] | None = None) -> None:
    """What makes sound; as `warm_up`."""
    steps = list(_steps(layouts))
    for done, step in enumerate(steps):
        if progress is not None:
            progress(done, len(steps))
        step()
    if progress is not None:
        progress(len(steps), len(steps))


def _steps(layouts: tuple[Layout, ...]) -> Iterator[Callable[[], object]]:
    motion = Motion(1.4, 0.5, 1.8, 1.7)
    for name in VOICES:
        yield lambda name=name: [make_voice(name, 1).render(BLOCK, motion) for _ in range(2)]
    yield lambda: Bed(1).render(BLOCK, Ambience(0.5, 0.5, 0.5, 0.5))
    yield lambda: _render(layouts)


def _render(layouts: tuple[Layout, ...]) -> None:
    early = np.zeros((2 * GRID_AZIMUTHS, N_MAIN, BLOCK), np.float32)
    # Long enough for the later stages of a convolver.
    late = np.zeros((1, N_MAIN, 80 * BLOCK), np.float32)
    bank = RirBank("warm-up", early, late, 1.0, 3.0, 0.0, ())
    renderer = Renderer(bank, layouts, 1)
    placement = np.zeros((1, N_PLACEMENT))
    placement[0, DISTANCE] = placement[0, GAIN] = 1.0
    dry = np.ones((1, BLOCK), np.float32)
    bed = np.zeros((N_MAIN, BLOCK), np.float32)
    for layout in layouts:
        level, peak = LiveLevel(layout.loudness_weights), PeakMeter(layout.n_channels)
        for _ in range(2):
            block = renderer.step(dry, placement, np.ones(1, np.bool_), bed)[layout.name]
            peak.step(level.step(block, night=True))


def warm_up_vision() -> None:
    """What understands pictures."""
    from engines.camera import Camera
    from engines.perception import Perception  # heavy, and the process that makes sound does without

    camera = Camera(320, 180)
    perception = Perception(camera)
    rng = np.random.default_rng(0)
    scenery = rng.integers(90, 110, (180, 320, 3)).astype(np.uint8)
    for index in range(4):
        picture = scenery.copy()
        picture[60:120, 40 + 12 * index : 80 + 12 * index] = (200, 30, 30)
        perception.step(Frame(picture, index * 3600, index / 25))

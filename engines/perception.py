"""Frame -> Scene: vision, tracking and geometry in one deterministic step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engines.camera import Camera
from engines.scene import DEFAULT_MAX_SOURCES, SceneBuilder
from engines.specs import Frame, Scene, Source
from engines.tracking import Tracker
from engines.vision import VisionEngine
from engines.vision.builtin import BuiltinVision

# Gives a source the name that the user wants for it.
Labeller = Callable[[Source, Camera], str]


class Perception:
    """Owns everything that is remembered between frames; one thread at a time.

    Args:
        camera: of the frames.
        engine: finds the regions; the builtin one if None.
        labeller: renames sources; None keeps the names that vision gives.
        max_sources: at most this many sound at once.
        first_id: of the first source; a new picture after another must not reuse its ids.
    """

    def __init__(
        self,
        camera: Camera,
        engine: VisionEngine | None = None,
        labeller: Labeller | None = None,
        max_sources: int = DEFAULT_MAX_SOURCES,
        first_id: int = 1,
    ) -> None:
        self.camera = camera
        self._engine = engine or BuiltinVision(camera)
        self._tracker = Tracker(camera.width_px, camera.height_px, wraps=camera.wraps, first_id=first_id)
        self._builder = SceneBuilder(camera, max_sources)
        self._labeller = labeller

    @property
    def next_id(self) -> int:
        """What the next new source will be called."""
        return self._tracker.next_id

    def step(self, frame: Frame) -> Scene:
        """The scene after one more frame; frames come in order of time and all have the camera's size."""
        observation = self._engine.observe(frame, self._tracker.expected(frame.t_s))
        tracks = self._tracker.step(observation, frame.t_s)
        scene = self._builder.step(tracks, frame.t_s, observation.ambience, cut=observation.cut)
        if self._labeller is None:
            return scene
        return replace(scene, sources=tuple(replace(s, label=self._labeller(s, self.camera)) for s in scene.sources))

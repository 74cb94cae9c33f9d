"""Synthetic scenes as an input, with their ground truth."""

from __future__ import annotations

from collections.abc import Generator

from engines.specs import Frame
from engines.synthetic.scenes import make_scene
from engines.synthetic.stage import Painter, Truth
from stream.inputs.base import PTS_PER_S, VideoInfo, VideoInput


class SyntheticInput(VideoInput):
    """A drawn scene.

    Args:
        text: `NAME?key=value&...`, see `engines.synthetic.scenes`.
        endless: go on after the scene's own duration.
    """

    def __init__(self, text: str, *, endless: bool = False) -> None:
        self._scene = make_scene(text)
        self._painter = Painter(self._scene.stage)
        self._n_frames = None if endless else max(1, round(self._scene.seconds * self._scene.fps))
        camera = self._scene.stage.camera
        super().__init__(
            VideoInfo(
                width_px=camera.width_px,
                height_px=camera.height_px,
                fps=self._scene.fps,
                duration_s=None if endless else self._scene.seconds,
                projection=camera.projection,
                hfov_deg=None if camera.wraps else camera.hfov_deg,
            )
        )
        self.truth: list[Truth] = []

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`; `truth` holds what is true of the frame given last."""
        index = 0
        while not self._closed and (self._n_frames is None or index < self._n_frames):
            t_s = index / self._scene.fps
            rgb, self.truth = self._painter.paint(t_s, index)
            self._end_s = (index + 1) / self._scene.fps
            yield Frame(rgb, round(t_s * PTS_PER_S), t_s)
            index += 1

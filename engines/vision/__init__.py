"""Frame -> Region*: what in a picture may sound, how far away it is, and how the camera moved.

Every engine is one class with `observe`; the builtin one needs no weights and always works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.specs import Ambience, Frame, Region, Track

Affine = NDArray[np.float64]
IDENTITY: Affine = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True, slots=True)
class Observation:
    """What an engine says of one frame.

    Attributes:
        regions: in no particular order.
        camera: float64 (2, 3), where a point that stands still in the world has gone since the frame before:
            [u', v'] = camera @ [u, v, 1], in frame pixels.
        cut: this frame has nothing to do with the one before.
        ambience: what the picture as a whole suggests.
    """

    regions: tuple[Region, ...]
    camera: Affine = field(default_factory=IDENTITY.copy)
    cut: bool = False
    ambience: Ambience = field(default_factory=Ambience)


class VisionEngine(Protocol):
    """Finds regions; keeps its own memory of earlier frames."""

    def observe(self, frame: Frame, expected: Sequence[Track]) -> Observation:
        """Regions of this frame.

        Args:
            frame: the next one in time.
            expected: tracks of the frame before, as prompts; an engine is free to ignore them.
        """
        ...

    def reset(self) -> None:
        """Forget all earlier frames."""
        ...

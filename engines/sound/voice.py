"""What every voice is: an endless, seeded, never audibly repeating mono sound that follows motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from engines.specs import Float32, Motion


class Voice(Protocol):
    """One sounding voice; owns its state, never blocks, never allocates more than its output."""

    def render(self, n_samples: int, motion: Motion) -> Float32:
        """The next `n_samples`, float32 mono in [-1, 1).

        Under a constant `motion`, any way of cutting a signal into calls gives the same samples.
        """
        ...


@dataclass(frozen=True, slots=True)
class VoiceSpec:
    """A kind of voice.

    Attributes:
        name: what users write, lower case with hyphens.
        description: one line for `earshot voices`.
        family: AudioSet display names a tagger may give it; what the voice means to be.
        make: seed -> Voice. Two seeds give two individuals of the kind (another pitch, another rhythm).
        natural_db: level beside the other voices at 1 m (0 = ordinary; a whispering leaf < 0 < a siren).
    """

    name: str
    description: str
    family: tuple[str, ...]
    make: Callable[[int], Voice]
    natural_db: float = 0.0

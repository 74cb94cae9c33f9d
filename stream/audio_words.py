"""What the server and its audio process tell each other; each is one message of at most MESSAGE_BYTES."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.soundscape import Mix
from engines.spatial.layouts import Layout
from engines.specs import Scene

# More than a socket takes at once with Linux's default buffers.
MESSAGE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change.

    Attributes:
        layouts: that can be listened to.
        room: directory of the first bank.
        seed: of all voices.
        doppler: whether sound takes the time that its way takes.
        log_level: of the messages wanted.
    """

    layouts: dict[str, Layout]
    room: Path
    seed: int
    doppler: bool
    log_level: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that the audio loop is told.

    Attributes:
        scene: the newest; regions are not needed.
        layouts: names of those that somebody listens to.
        room: directory of its bank.
        mix: what the listener wants of the sources.
    """

    scene: Scene
    layouts: frozenset[str]
    room: Path
    mix: Mix


@dataclass(frozen=True, slots=True)
class Warming:
    """Kernels compiled, of how many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The first block comes next.

    Attributes:
        realtime: whether the process has real-time priority.
    """

    realtime: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """A line for the log of the parent; a terminal that is held up must not hold up the sound."""

    level: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class BlockDone:
    """One block, handed over.

    Attributes:
        index: counts up by one a block.
        due_s: when it should have been begun, on the monotonic clock.
        begun_s: when it was.
        done_s: when it had been rendered and encoded.
        packets: Opus packet by layout.
        scene_s: time stamp of the scene that it plays.
        voices: voice name by source id, of everything that sounds.
        skipped: blocks left out after stalls so far.
    """

    index: int
    due_s: float
    begun_s: float
    done_s: float
    packets: dict[str, bytes]
    scene_s: float
    voices: dict[int, str]
    skipped: int

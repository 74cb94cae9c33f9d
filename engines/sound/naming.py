"""Label -> voice: builtin shapes, real names in any form, user rules, and the nouns of a prompt."""

from __future__ import annotations

import difflib
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from engines.errors import ConfigError
from engines.sound.words import BUILTIN, GERUNDS, JOINED, PLAUSIBLE, SCENERY, WORDS, singular
from engines.specs import Motion

# What splits "dog on a bench" into the thing itself and what is said about it.
_PREPOSITIONS = frozenset(
    ["on", "in", "at", "near", "by", "with", "beside", "behind", "under", "over", "above", "below", "from", "into", "onto", "of", "inside", "outside", "along", "across", "through", "next", "against", "to"]
)  # fmt: skip
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "single": 1, "two": 2, "pair": 2, "couple": 2, "both": 2, "three": 3, "few": 3, "several": 3, "some": 2,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 8, "ten": 8, "dozen": 8, "many": 5, "lots": 5,
}  # fmt: skip
# Plural words that name one sound, not several sources.
_COLLECTIVE = frozenset(
    {
        "leaves",
        "waves",
        "dishes",
        "drums",
        "scissors",
        "headphones",
        "rapids",
        "fries",
        "embers",
        "fireworks",
        "woods",
        "jeans",
    }
)
# Words that stay what they are in a prompt although they could be read as another plural or as one of many.
_ONE_SOUND = frozenset({"footstep", "cricket", "wave", "flame", "raindrop", "dish", "fork", "spoon", "knife", "clothe"})
MAX_PROMPT_COUNT = 8

# Limits behind the words of a user rule; the pairs meet, so every source is one or the other.
NEAR_M = 6.0
SMALL_AREA = 0.05
TALL_RATIO = 1.25
MOVING_M_S = 0.3
MOVING_ENERGY = 0.1
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
# A frame's width over its height when only fractions of the frame are known.
_ASPECT = 16.0 / 9.0


@dataclass(frozen=True, slots=True)
class LabelRule:
    """`WHERE=NAME`: sources to which all of `where` applies are called `name`."""

    where: tuple[str, ...]
    name: str


def voice_for(label: str, source_id: int, seed: int, motion: Motion) -> str:
    """The voice of a source; always a key of `engines.sound.registry.VOICES`.

    Args:
        label: what vision (or the user) calls it; any text.
        source_id: sources with neighbouring ids take different voices where the label has no obvious one.
        seed: of the session; the same seed gives the same choices.
        motion: decides what a label cannot.
    """
    text = _clean(label)
    if text in BUILTIN:
        return _choose(text, source_id, seed, motion)
    # AudioSet lists synonyms with commas ("Bird vocalization, bird call"); the first known one is the most general.
    for part in label.split(","):
        voice = _known(_clean(part))
        if voice is not None:
            return voice
    shape = text.rsplit(" ", 1)[-1]
    if shape not in BUILTIN:
        voice = _fuzzy(text)
        if voice is not None:
            return voice
        shape = _shape_of(motion)
    return _choose(shape, source_id, seed, motion)


def _clean(label: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9' -]+", " ", label.lower().replace("_", " ")).replace("'s ", " ").split())


def _choose(kind: str, source_id: int, seed: int, motion: Motion) -> str:
    """One of the candidates; what swings at a walking rhythm and is tall walks."""
    if kind == "tall mover" and motion.gait_hz > 0.5:
        return "footsteps"
    # Golden-ratio steps deal out the shares evenly, even among few sources, and part neighbours where they can.
    place = (zlib.crc32(f"{kind}:{seed}".encode()) / 2**32 + source_id * _GOLDEN) % 1.0
    shares = BUILTIN[kind]
    borders = accumulate(shares.values())
    return next((voice for voice, border in zip(shares, borders, strict=True) if place < border), next(iter(shares)))


def _shape_of(motion: Motion) -> str:
    """The builtin label that a motion suggests, for things with unheard-of names."""
    if motion.speed_m_s < MOVING_M_S and motion.energy < MOVING_ENERGY:
        return "still thing"
    if motion.size_m < 0.8:
        return "small mover"
    if motion.gait_hz > 0.5 or motion.size_m < 2.1:
        return "tall mover"
    return "large mover" if motion.size_m > 2.6 else "wide mover"


def _lookup(words: Sequence[str]) -> str | None:
    """The table entry for a phrase as it stands, or with its last word in the singular; the key, not the voice."""
    phrase = " ".join(words)
    if phrase in WORDS:
        return phrase
    phrase = " ".join((*words[:-1], singular(words[-1])))
    return phrase if phrase in WORDS else JOINED.get(phrase)


def _last_noun(words: Sequence[str]) -> str | None:
    """The known phrase that ends latest, the longest of those."""
    for end in range(len(words), 0, -1):
        for length in range(min(3, end), 0, -1):
            key = _lookup(words[end - length : end])
            if key is not None:
                return key
    return None


def _words(text: str) -> list[str]:
    """Words; hyphens join only where the table knows the joint ("hi-hat"), else they separate ("t-shirt")."""
    words: list[str] = []
    for word in text.split():
        words.extend([word] if word in WORDS else [part for part in word.split("-") if part])
    return words


def _known(text: str) -> str | None:
    if not text:
        return None
    words = _words(text)
    key = _lookup(words) if words else None
    if key is None:
        cut = next((i for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words))
        key = _last_noun(words[:cut]) or _last_noun(words[cut:])
    return None if key is None else WORDS[key]


def _fuzzy(text: str) -> str | None:
    """Typos: the nearest known name of the last word that has one."""
    for word in reversed(_words(text)):
        if len(word) < 4:
            continue
        stem = singular(word)
        near = [
            key for key in WORDS
            if abs(len(key) - len(stem)) <= 2 and " " not in key and (key[0] == stem[0] or key[1:3] == stem[1:3])
        ]  # fmt: skip
        match = difflib.get_close_matches(stem, near, n=1, cutoff=0.7)
        if match:
            return WORDS[match[0]]
    return None


# --------------------------------------------------------------------------------------------------------------- rules

_PLACES = frozenset({
    "any", "left", "centre", "center", "right", "top", "middle", "bottom", "near", "far", "small", "large", "tall", "wide", "moving", "still",
})  # fmt: skip


def parse_label_rule(text: str) -> LabelRule:
    """Read one rule, `WHERE=NAME`; without `=` it means `any=NAME`.

    WHERE is `any` or a comma-separated list that must apply as a whole: left, centre, right (thirds of the picture),
    top, middle, bottom, near, far, small, large, tall, wide, moving, still, `id:7`, or a label of builtin vision such
    as `tall mover`. NAME is any text.

    Raises:
        ConfigError: a word of WHERE is unknown, or NAME is empty.
    """
    where, separator, name = text.partition("=")
    if not separator:
        where, name = "any", text
    name = " ".join(name.split())
    if not name:
        raise ConfigError(f"label rule {text!r} has no name; write WHERE=NAME, for example left,moving=red car")
    terms = tuple(" ".join(term.lower().split()) for term in where.split(","))
    for term in terms:
        _check_term(term, text)
    return LabelRule(tuple("centre" if term == "center" else term for term in terms), name)


def _check_term(term: str, text: str) -> None:
    if term in _PLACES or term in BUILTIN:
        return
    if term.startswith("id:"):
        if term[3:].strip().isdecimal():
            return
        raise ConfigError(f"label rule {text!r}: {term!r} needs a whole number, for example id:7")
    near = difflib.get_close_matches(term, [*_PLACES, *BUILTIN], n=1, cutoff=0.6) if term else []
    hint = (
        f"did you mean {near[0]!r}?"
        if near
        else "use any, left, centre, right, top, middle, bottom, near, far, small, large, tall, wide, moving, still, id:N or a builtin label"
    )
    raise ConfigError(f"label rule {text!r}: unknown place {term!r}; {hint}")


def apply_label_rules(
    rules: Sequence[LabelRule],
    *,
    label: str,
    box_frac: tuple[float, float, float, float],
    distance_m: float,
    speed_m_s: float,
    energy: float,
    source_id: int,
) -> str:
    """The name that the first matching rule gives, else `label` as it is.

    Args:
        rules: in the user's order.
        label: from vision.
        box_frac: x0, y0, x1, y1 as fractions of the frame; x1 may exceed 1 (across the seam of a full sphere).
        distance_m: nan when unknown, which is neither near nor far.
        speed_m_s: speed of the thing.
        energy: 0..1, motion inside the region.
        source_id: for `id:N`.
    """
    facts = _facts(box_frac, distance_m, speed_m_s, energy) | {"any", f"id:{source_id}", _clean(label)}
    for rule in rules:
        if all(term.replace(" ", "") in facts if term.startswith("id:") else term in facts for term in rule.where):
            return rule.name
    return label


def _facts(box_frac: tuple[float, float, float, float], distance_m: float, speed_m_s: float, energy: float) -> set[str]:
    """All words of WHERE that apply to a source."""
    x0, y0, x1, y1 = box_frac
    u, v = (0.5 * (x0 + x1)) % 1.0, 0.5 * (y0 + y1)
    width, height = max(x1 - x0, 1e-9) * _ASPECT, max(y1 - y0, 1e-9)
    facts = {
        "left" if u < 1 / 3 else "right" if u > 2 / 3 else "centre",
        "top" if v < 1 / 3 else "bottom" if v > 2 / 3 else "middle",
    }
    if not math.isnan(distance_m):
        facts.add("near" if distance_m < NEAR_M else "far")
    facts.add("small" if (x1 - x0) * (y1 - y0) < SMALL_AREA else "large")
    if height > TALL_RATIO * width:
        facts.add("tall")
    elif width > TALL_RATIO * height:
        facts.add("wide")
    facts.add("moving" if speed_m_s > MOVING_M_S or energy > MOVING_ENERGY else "still")
    return facts


# -------------------------------------------------------------------------------------------------------------- prompts


def labels_from_prompt(prompt: str) -> tuple[str, ...]:
    """The sounding nouns of a free text, in order, each repeated as often as it is counted (at most 8 times).

    Places ("street", "room") are scenery and stay out; a plural without a number counts two. "a quiet street with
    two cars and a barking dog" gives ("car", "car", "dog").
    """
    words = _words(_clean(prompt.replace(",", " and ").replace(";", " and ").replace(".", " and ")))
    found: list[tuple[str, int]] = []
    gerunds: list[tuple[int, str]] = []
    count, i = 0, 0
    while i < len(words):
        key, length = _noun_at(words, i)
        if key is None:
            if words[i] in _NUMBERS or words[i].isdecimal():
                number = int(words[i]) if words[i].isdecimal() else _NUMBERS[words[i]]
                count = max(count if words[i - 1] == "a" and count == 1 else 0, number)
            elif words[i] in _PREPOSITIONS - {"of"} or words[i] == "and":
                count = 0
            i += 1
            continue
        if key in GERUNDS:
            # "running water" is water; "people clapping" claps.
            if not _is_adjunct(words, i + length):
                gerunds.append((len(found), key))
        elif key not in SCENERY and not _is_adjunct(words, i + length):
            plural = (
                words[i + length - 1] != key.split()[-1]
                and key not in _ONE_SOUND
                and words[i + length - 1] not in _COLLECTIVE
            )
            if key == "people" and count:
                key, plural = "person", False
            found.append((key, min(count or (2 if plural else 1), MAX_PROMPT_COUNT)))
        if key not in GERUNDS:
            count = 0
        i += length
    voices = {WORDS[key] for key, _ in found}
    for at, key in reversed(gerunds):
        if WORDS[key] not in voices:
            found.insert(at, (key, 1))
    return tuple(key for key, times in found for _ in range(times))


def _noun_at(words: Sequence[str], i: int) -> tuple[str | None, int]:
    """The longest known phrase that starts at word `i`, and its length."""
    for length in range(min(3, len(words) - i), 0, -1):
        key = _lookup(words[i : i + length])
        if key is not None and key not in BUILTIN:
            return key, length
    return None, 1


def _is_adjunct(words: Sequence[str], after: int) -> bool:
    """Whether a noun only describes the next one ("car door", "dog bowl"): it is followed at once by another noun."""
    if after >= len(words):
        return False
    key, _ = _noun_at(words, after)
    return key is not None and key not in GERUNDS and key not in SCENERY


def assign_prompt(labels: Sequence[str], uses: Sequence[int], *, shape: str, motion: Motion, source_index: int) -> int:
    """Which of a prompt's labels a newly seen source gets; a pure function, the caller keeps the counts.

    Every label should sound before one sounds twice, so only the least used labels compete. Among them the one wins
    whose voice fits best what is seen: the shape that builtin vision names (or that the motion suggests), with
    walking rhythm in favour of feet, and stillness against what only sounds when it moves. Ties go round by
    `source_index`, so that a prompt of equals ("a dog and a cat") is not always dealt in the same order.

    Args:
        labels: from `labels_from_prompt`, not empty.
        uses: how many sources hold each label now, as long as `labels`.
        shape: the source's label from vision, for example "wide mover".
        motion: of the source.
        source_index: how many sources came before this one.

    Returns:
        Index into `labels`.
    """
    if not labels or len(labels) != len(uses):
        raise ConfigError(f"a prompt needs at least one sound and one count each, got {len(labels)} and {len(uses)}")
    kind = _clean(shape)
    fits = PLAUSIBLE[kind] if kind in PLAUSIBLE else PLAUSIBLE[_shape_of(motion)]
    least = min(uses)
    open_places = [k for k, used in enumerate(uses) if used == least]

    def plausibility(k: int) -> tuple[float, int]:
        voice = voice_for(labels[k], source_index, 0, motion)
        fit = fits.get(voice, 0.2)
        if motion.gait_hz > 0.5 and voice in ("footsteps", "horse"):
            fit += 0.3
        if voice == _known(kind):
            fit += 1.0
        return fit, -((k - source_index) % len(labels))

    return max(open_places, key=plausibility)

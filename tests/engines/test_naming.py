"""Labels become voices: builtin shapes, real names in any form, user rules, prompts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ConfigError
from engines.sound.naming import apply_label_rules, assign_prompt, labels_from_prompt, parse_label_rule, voice_for
from engines.sound.registry import VOICES
from engines.sound.words import BUILTIN, GERUNDS, PLAUSIBLE, SCENERY, WORDS, singular
from engines.specs import STILL, Motion

WALKING = Motion(speed_m_s=1.4, energy=0.5)

# Every COCO name and the voices that make sense for it.
COCO = {
    "person": "footsteps", "bicycle": "bicycle", "car": "car", "motorcycle": "motorcycle", "airplane": "airplane", "bus": "truck",
    "train": "train", "truck": "truck", "boat": "boat", "traffic light": "clock car", "fire hydrant": "tap", "stop sign": "wind car",
    "parking meter": "clock", "bench": "leaves creak", "bird": "bird", "cat": "cat", "dog": "dog", "horse": "horse", "sheep": "sheep",
    "cow": "cow", "elephant": "beast", "bear": "beast", "zebra": "horse", "giraffe": "horse", "backpack": "footsteps", "umbrella": "rain",
    "handbag": "footsteps", "tie": "footsteps", "suitcase": "skateboard", "frisbee": "wind", "skis": "skateboard wind",
    "snowboard": "skateboard wind", "sports ball": "ball", "kite": "wind", "baseball bat": "ball", "baseball glove": "ball",
    "skateboard": "skateboard", "surfboard": "sea", "tennis racket": "ball", "bottle": "pouring", "wine glass": "pouring dishes",
    "cup": "pouring dishes", "fork": "dishes", "knife": "dishes", "spoon": "dishes", "bowl": "dishes", "banana": "dishes",
    "apple": "dishes", "sandwich": "dishes", "orange": "dishes", "broccoli": "dishes", "carrot": "dishes", "hot dog": "frying",
    "pizza": "frying", "donut": "dishes", "cake": "dishes", "chair": "creak", "couch": "creak", "potted plant": "leaves", "bed": "creak",
    "dining table": "dishes", "toilet": "tap", "tv": "crowd guitar", "laptop": "keyboard", "mouse": "keyboard", "remote": "keyboard",
    "keyboard": "keyboard", "cell phone": "telephone", "microwave": "fan alarm", "oven": "frying fan", "toaster": "clock fan",
    "sink": "tap", "refrigerator": "fan", "book": "paper", "clock": "clock", "vase": "pouring chime", "scissors": "paper",
    "teddy bear": "paper chime", "hair drier": "vacuum", "toothbrush": "tap",
}  # fmt: skip


def test_tables_are_consistent() -> None:
    assert set(WORDS.values()) == set(VOICES)
    assert WORDS.keys() >= SCENERY
    assert WORDS.keys() >= GERUNDS
    for candidates in BUILTIN.values():
        assert set(candidates) <= set(VOICES)
        assert len(candidates) > 1
        assert sum(candidates.values()) == pytest.approx(1.0)
    for fits in PLAUSIBLE.values():
        assert set(fits) <= set(VOICES)
    assert set(VOICES) <= {voice_for(name, 0, 0, WALKING) for name in VOICES}


def test_every_coco_name_has_a_fitting_voice() -> None:
    assert len(COCO) == 80
    for name, voices in COCO.items():
        assert voice_for(name, 1, 0, STILL) in voices.split(), name


@pytest.mark.parametrize(
    ("label", "voice"),
    [
        ("People", "crowd"), ("two women", "footsteps"), ("red sports car", "car"), ("a man riding a horse", "horse"),
        ("dog on a bench", "dog"), ("police_car", "siren"), ("pottedplant", "leaves"), ("diningtable", "dishes"), ("tvmonitor", "crowd"),
        ("motorbike", "motorcycle"), ("aeroplane", "airplane"), ("sofa", "creak"), ("kitchen knives", "dishes"), ("buses", "truck"),
        ("puppies", "dog"), ("geese", "duck"), ("mice", "keyboard"), ("waves", "sea"), ("Bird vocalization, bird call, bird song", "bird"),
        ("Walk, footsteps", "footsteps"), ("Rain on surface", "rain"), ("church bell", "bell"), ("waterfall", "stream"),
        ("acoustic guitar", "guitar"), ("washing machine", "fan"), ("fire engine", "siren"), ("fireplace", "fire"), ("hi-hat", "drums"),
        ("the neighbour's cat", "cat"), ("swivel chair", "creak"), ("chest of drawers", "creak"), ("tree", "leaves"), ("escalator", "footsteps"),
    ],
)  # fmt: skip
def test_real_names(label: str, voice: str) -> None:
    assert voice_for(label, 3, 7, STILL) == voice


@pytest.mark.parametrize(
    ("label", "voice"),
    [
        ("persn", "footsteps"), ("bycicle", "bicycle"), ("motorcylce", "motorcycle"), ("elefant", "beast"), ("helicoptr", "helicopter"),
        ("refridgerator", "fan"), ("keybord", "keyboard"), ("umbrela", "rain"), ("trian", "train"),
    ],
)  # fmt: skip
def test_typos(label: str, voice: str) -> None:
    assert voice_for(label, 3, 7, STILL) == voice


@given(
    st.text(max_size=40),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.floats(0.0, 40.0),
    st.floats(0.0, 1.0),
    st.floats(0.05, 20.0),
)
def test_any_text_finds_a_voice(
    label: str, source_id: int, seed: int, speed_m_s: float, energy: float, size_m: float
) -> None:
    motion = Motion(speed_m_s=speed_m_s, energy=energy, size_m=size_m)
    voice = voice_for(label, source_id, seed, motion)
    assert voice in VOICES
    assert voice == voice_for(label, source_id, seed, motion)


def test_unknown_names_go_by_motion() -> None:
    assert voice_for("zzyzx", 1, 0, STILL) in BUILTIN["still thing"]
    assert voice_for("zzyzx", 1, 0, Motion(8.0, 0.5, size_m=3.0)) in BUILTIN["large mover"]
    assert voice_for("zzyzx", 1, 0, Motion(2.0, 0.5, size_m=0.4)) in BUILTIN["small mover"]
    assert voice_for("zzyzx", 1, 0, Motion(1.2, 0.5, gait_hz=1.8, size_m=1.7)) == "footsteps"
    assert voice_for("purple mover", 1, 0, WALKING) in BUILTIN["mover"]


@pytest.mark.parametrize("label", BUILTIN)
@pytest.mark.parametrize("seed", [0, 11, 12345])
def test_builtin_labels_share_out_their_voices(label: str, seed: int) -> None:
    voices = [voice_for(label, source_id, seed, STILL) for source_id in range(200)]
    for voice, share in BUILTIN[label].items():
        assert voices.count(voice) / len(voices) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("label", ["still thing", "thing"])
def test_what_could_be_anything_differs_from_its_neighbour(label: str) -> None:
    voices = [voice_for(label, source_id, 11, STILL) for source_id in range(40)]
    assert all(one != other for one, other in pairwise(voices))


@pytest.mark.parametrize(
    ("label", "voice"),
    [("wide mover", "car"), ("tall mover", "footsteps"), ("small mover", "dog"), ("high mover", "bird"), ("green thing", "leaves")],
)  # fmt: skip
def test_an_obvious_shape_gets_its_obvious_voice(label: str, voice: str) -> None:
    first = [voice_for(label, source_id, seed, STILL) for seed in range(10) for source_id in range(6)]
    assert first.count(voice) > 0.6 * len(first)


def test_what_walks_upright_has_feet() -> None:
    for source_id in range(6):
        assert voice_for("tall mover", source_id, 0, Motion(1.3, 0.4, gait_hz=1.8, size_m=1.7)) == "footsteps"


@pytest.mark.parametrize(
    ("plural", "one"),
    [("cars", "car"), ("buses", "bus"), ("men", "man"), ("puppies", "puppy"), ("benches", "bench"), ("glass", "glass"), ("bus", "bus"),
     ("leaves", "leaves"), ("wolves", "wolf"), ("foxes", "fox"), ("keys", "key"), ("gas", "gas")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


# ---------------------------------------------------------------------------------------------------------------- rules


def named(rules: list[str], **changes: object) -> str:
    """Apply rules to a small still thing in the middle of the picture, 4 m away, changed as asked."""
    facts: dict[str, object] = {
        "label": "still thing", "box_frac": (0.45, 0.4, 0.55, 0.6), "distance_m": 4.0, "speed_m_s": 0.0, "energy": 0.0, "source_id": 7,
    }  # fmt: skip
    return apply_label_rules([parse_label_rule(rule) for rule in rules], **{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("any", {}), ("left", {"box_frac": (0.0, 0.4, 0.2, 0.6)}), ("centre", {}), ("center", {}), ("right", {"box_frac": (0.8, 0.4, 1.0, 0.6)}),
        ("top", {"box_frac": (0.4, 0.0, 0.6, 0.2)}), ("middle", {}), ("bottom", {"box_frac": (0.4, 0.8, 0.6, 1.0)}), ("near", {}),
        ("far", {"distance_m": 20.0}), ("small", {}), ("large", {"box_frac": (0.1, 0.1, 0.9, 0.9)}),
        ("tall", {"box_frac": (0.45, 0.1, 0.55, 0.9)}), ("wide", {"box_frac": (0.1, 0.45, 0.9, 0.55)}), ("moving", {"speed_m_s": 1.0}),
        ("moving", {"energy": 0.4}), ("still", {}), ("id:7", {}), ("still thing", {}), ("centre, middle ,near,small, still", {}),
        ("ID: 7", {}), ("left", {"box_frac": (0.95, 0.4, 1.15, 0.6)}),
    ],
)  # fmt: skip
def test_rule_matches(where: str, changes: dict[str, object]) -> None:
    assert named([f"{where}=red car"], **changes) == "red car"


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("left", {}), ("top", {}), ("far", {}), ("large", {}), ("moving", {}), ("id:8", {}), ("tall mover", {}), ("still", {"speed_m_s": 2.0}),
        ("near", {"distance_m": math.nan}), ("far", {"distance_m": math.nan}), ("centre,moving", {}), ("wide", {"box_frac": (0.45, 0.1, 0.55, 0.9)}),
    ],
)  # fmt: skip
def test_rule_does_not_match(where: str, changes: dict[str, object]) -> None:
    assert named([f"{where}=red car"], **changes) == named([], **changes)


def test_first_match_wins_and_bare_names_mean_any() -> None:
    assert named(["moving=bus", "left=dog", "  grey   cat ", "any=owl"]) == "grey cat"
    assert parse_label_rule("dog").where == ("any",)
    assert parse_label_rule("left=a=b").name == "a=b"


@pytest.mark.parametrize(
    ("text", "hint"),
    [("lfet=dog", "left"), ("left=", "no name"), ("", "no name"), ("id:x=dog", "whole number"), ("left,,top=dog", "unknown place"),
     ("tall movr=man", "tall mover"), ("=dog", "unknown place")],
)  # fmt: skip
def test_wrong_rules_say_why(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint) as caught:
        parse_label_rule(text)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------------------------------- prompts


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("a quiet street with two cars and a barking dog", ("car", "car", "dog")),
        ("rain and thunder over a forest, one owl", ("rain", "thunder", "owl")),
        ("three people walking", ("person", "person", "person")),
        ("people clapping in a theatre", ("people", "clapping")),
        ("someone typing on a keyboard", ("keyboard",)),
        ("a police car and a fire truck race down the road", ("police car", "fire truck")),
        ("two red sports cars", ("sports car", "sports car")),
        ("birds", ("bird", "bird")),
        ("a couple of dogs and 12 cats", ("dog", "dog", *["cat"] * 8)),
        ("running water, dishes and a frying pan", ("water", "dishes", "frying pan")),
        ("a car door slams", ("door",)),
        ("footsteps in leaves", ("footstep", "leaves")),
        ("", ()),
        ("nothing but silence", ()),
    ],
)
def test_prompt(prompt: str, labels: tuple[str, ...]) -> None:
    assert labels_from_prompt(prompt) == labels


@given(st.text(max_size=80))
def test_prompt_labels_all_have_voices(prompt: str) -> None:
    for label in labels_from_prompt(prompt):
        assert label in WORDS


def test_prompt_labels_go_to_fitting_shapes() -> None:
    labels = labels_from_prompt("a car, a man, a bird and a clock")
    shapes = ("high mover", "still thing", "tall mover", "wide mover")
    uses, given_to = [0] * len(labels), {}
    for index, shape in enumerate(shapes):
        place = assign_prompt(labels, uses, shape=shape, motion=STILL, source_index=index)
        uses[place] += 1
        given_to[shape] = labels[place]
    assert given_to == {"high mover": "bird", "still thing": "clock", "tall mover": "man", "wide mover": "car"}


def test_every_prompt_label_is_used_before_one_is_used_twice() -> None:
    labels = ("dog", "cat", "car")
    uses = [0, 0, 0]
    for index in range(7):
        uses[assign_prompt(labels, uses, shape="small mover", motion=WALKING, source_index=index)] += 1
    assert max(uses) - min(uses) <= 1


def test_prompt_needs_labels() -> None:
    with pytest.raises(ConfigError):
        assign_prompt((), (), shape="tall mover", motion=STILL, source_index=0)

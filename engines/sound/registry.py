"""All voices by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from engines.errors import ConfigError
from engines.sound import animals, birds, indoors, music, nature, people, signals, vehicles
from engines.sound.voice import Voice, VoiceSpec
from engines.specs import BLOCK, Motion

_SPECS = (
    VoiceSpec("footsteps", "hard shoes that walk, run or shuffle", ("Walk, footsteps", "Run", "Shuffle"), people.Footsteps),
    VoiceSpec("crowd", "murmur of many people, without words",
              ("Crowd", "Hubbub, speech noise, speech babble", "Chatter", "Conversation"), people.Crowd),
    VoiceSpec("applause", "many hands", ("Applause", "Clapping", "Cheering", "Crowd"), people.Applause, 2.0),
    VoiceSpec("ball", "a ball that bounces", ("Basketball bounce", "Bouncing"), people.Ball),
    VoiceSpec("dog", "barks and pants", ("Dog", "Bark", "Bow-wow", "Yip", "Domestic animals, pets"), animals.Dog, 2.0),
    VoiceSpec("cat", "miaows and purrs", ("Cat", "Meow", "Purr", "Caterwaul"), animals.Cat),
    VoiceSpec("cow", "long moos", ("Cattle, bovinae", "Moo"), animals.Cow, 2.0),
    VoiceSpec("sheep", "bleats", ("Sheep", "Goat", "Bleat"), animals.Sheep),
    VoiceSpec("beast", "a big animal that growls", ("Growling", "Roar", "Roaring cats (lions, tigers)"), animals.Beast, 2.0),
    VoiceSpec("horse", "hooves on a hard road", ("Horse", "Clip-clop"), animals.Horse),
    VoiceSpec("crickets", "crickets on a summer night", ("Cricket", "Insect"), animals.Crickets, -6.0),
    VoiceSpec("bird", "a songbird, answered from afar",
              ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"), birds.Bird, -3.0),
    VoiceSpec("crow", "caws", ("Crow", "Caw", "Bird"), birds.Crow),
    VoiceSpec("duck", "quacks", ("Duck", "Quack", "Goose", "Fowl"), birds.Duck),
    VoiceSpec("owl", "hoots at night", ("Owl", "Hoot"), birds.Owl, -3.0),
    VoiceSpec("car", "a car that idles, accelerates and rolls",
              ("Car", "Vehicle", "Motor vehicle (road)", "Engine", "Idling", "Medium engine (mid frequency)"), vehicles.Car, 3.0),
    VoiceSpec("motorcycle", "a big twin", ("Motorcycle", "Engine", "Vehicle"), vehicles.Motorcycle, 4.0),
    VoiceSpec("truck", "a diesel truck or bus", ("Truck", "Bus", "Engine", "Heavy engine (low frequency)"), vehicles.Truck, 5.0),
    VoiceSpec("boat", "an outboard motor and water",
              ("Boat, Water vehicle", "Motorboat, speedboat", "Ship"), vehicles.Boat, 2.0),
    VoiceSpec("airplane", "a jet in the sky",
              ("Aircraft", "Jet engine", "Fixed-wing aircraft, airplane", "Aircraft engine"), vehicles.Airplane, 6.0),
    VoiceSpec("helicopter", "blade slap", ("Helicopter", "Aircraft"), vehicles.Helicopter, 6.0),
    VoiceSpec("train", "wheels over jointed rail",
              ("Train", "Rail transport", "Railroad car, train wagon", "Clickety-clack"), vehicles.Train, 5.0),
    VoiceSpec("bicycle", "freewheel, tyres and bell", ("Bicycle", "Bicycle bell"), vehicles.Bicycle, -4.0),
    VoiceSpec("skateboard", "hard wheels on rough ground", ("Skateboard",), vehicles.Skateboard),
    VoiceSpec("siren", "a wailing siren",
              ("Siren", "Police car (siren)", "Emergency vehicle", "Ambulance (siren)"), signals.Siren, 6.0),
    VoiceSpec("horn", "a car horn", ("Vehicle horn, car horn, honking", "Toot"), signals.Horn, 5.0),
    VoiceSpec("telephone", "a ringing telephone",
              ("Telephone", "Telephone bell ringing", "Ringtone"), signals.Telephone),
    VoiceSpec("alarm", "an electronic beeper", ("Alarm", "Alarm clock", "Beep, bleep"), signals.Alarm),
    VoiceSpec("wind", "gusts", ("Wind", "Wind noise (microphone)"), nature.Wind, -2.0),
    VoiceSpec("leaves", "leaves that rustle in gusts", ("Rustling leaves", "Rustle"), nature.Leaves, -6.0),
    VoiceSpec("rain", "rain on a hard surface", ("Rain", "Raindrop", "Rain on surface"), nature.Rain, -2.0),
    VoiceSpec("stream", "a brook", ("Stream", "Water", "Waterfall", "Gurgling"), nature.Stream, -2.0),
    VoiceSpec("sea", "waves on a shore", ("Ocean", "Waves, surf"), nature.Sea),
    VoiceSpec("fire", "a wood fire", ("Fire", "Crackle"), nature.Fire, -3.0),
    VoiceSpec("thunder", "a storm that rolls", ("Thunder", "Thunderstorm"), nature.Thunder, 4.0),
    VoiceSpec("keyboard", "typing", ("Typing", "Computer keyboard"), indoors.Keyboard, -6.0),
    VoiceSpec("clock", "a pendulum clock", ("Clock", "Tick", "Tick-tock"), indoors.Clock, -8.0),
    VoiceSpec("fan", "a fan or air conditioner",
              ("Mechanical fan", "Air conditioning", "Hum"), indoors.Fan, -8.0),
    VoiceSpec("vacuum", "a vacuum cleaner or hair dryer", ("Vacuum cleaner", "Hair dryer"), indoors.Vacuum),
    VoiceSpec("pouring", "liquid poured into a glass",
              ("Pour", "Liquid", "Fill (with liquid)", "Water"), indoors.Pouring, -4.0),
    VoiceSpec("tap", "water from a tap",
              ("Water tap, faucet", "Sink (filling or washing)", "Water"), indoors.Tap, -2.0),
    VoiceSpec("dishes", "plates, glasses, cutlery",
              ("Dishes, pots, and pans", "Cutlery, silverware"), indoors.Dishes, -3.0),
    VoiceSpec("frying", "fat in a pan", ("Frying (food)", "Sizzle"), indoors.Frying, -4.0),
    VoiceSpec("paper", "paper that is crumpled", ("Crumpling, crinkling", "Rustle"), indoors.Paper, -6.0),
    VoiceSpec("creak", "wood and hinges", ("Creak", "Squeak", "Door"), indoors.Creak, -4.0),
    VoiceSpec("guitar", "a guitar that improvises",
              ("Guitar", "Acoustic guitar", "Plucked string instrument"), music.Guitar),
    VoiceSpec("bell", "a church bell", ("Church bell", "Bell", "Change ringing (campanology)"), music.Bell, 2.0),
    VoiceSpec("chime", "a wind chime", ("Wind chime", "Chime"), music.Chime, -4.0),
    VoiceSpec("drums", "a small drum kit", ("Drum kit", "Drum", "Drum machine", "Snare drum"), music.Drums, 2.0),
)  # fmt: skip

VOICES: Mapping[str, VoiceSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def make_voice(name: str, seed: int) -> Voice:
    """A fresh voice.

    Args:
        name: a key of `VOICES`.
        seed: which individual of the kind.

    Raises:
        ConfigError: there is no such voice; the message names the nearest ones.
    """
    spec = VOICES.get(name)
    if spec is None:
        near = difflib.get_close_matches(name.lower(), VOICES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known voices: {', '.join(VOICES)}"
        raise ConfigError(f"there is no voice named {name!r}; {hint}")
    return spec.make(seed)


def warm_up() -> None:
    """Load every compiled kernel, so that no voice has to wait for one later."""
    for spec in VOICES.values():
        spec.make(0).render(2 * BLOCK, Motion(speed_m_s=1.4, energy=0.5))

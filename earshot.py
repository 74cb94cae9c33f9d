"""The command line.

Exit codes: 0 done; 1 failed, one line on stderr says why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.suite import CASES
from engines.camera import Projection, Stage
from engines.errors import ConfigError, EarshotError
from engines.sound.naming import parse_label_rule
from engines.sound.registry import VOICES
from engines.spatial.hrtf import SYSTEM_SOFA, find_hrtf, load_sofa
from engines.spatial.layouts import Layout, make_layout
from engines.spatial.rooms import DEFAULT_ROOM, PRESETS, Room, find_room
from stream.clock import MonotonicClock
from stream.config import read_config
from stream.inputs.opening import open_input
from stream.progress import Show, progress_bar

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
CACHE = platformdirs.user_cache_path("earshot")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
rooms_app = typer.Typer(
    no_args_is_help=True, help="Rooms and their impulse responses. EARSHOT_ROOMS_MB bounds their cache (default: 2048)."
)
app.add_typer(rooms_app, name="rooms")
# In a pipe or a log, tables keep their columns whole.
_out = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


@app.callback(help="Live video in, continuous 5.1 surround sound out.")
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if debug:
        for chatty in ("numba", "aioice", "aiortc", "asyncio"):
            logging.getLogger(chatty).setLevel(logging.INFO)
    context.obj = debug


def main() -> None:
    """Run the command line; turns every failure into one line and an exit code, unless --debug asks for more."""
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        reason = (
            str(error)
            if isinstance(error, EarshotError)
            else f"unexpected {type(error).__name__}: {error} (see --debug)"
        )
        _err.print(f"earshot: {' '.join(reason.split())}", markup=False)
        sys.exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED)


# -- shared by the commands -------------------------------------------------------------------------------------------


def _progress_bar() -> AbstractContextManager[Show]:
    return progress_bar(_err, MonotonicClock())


def _bank(room: Room, show: Show, jobs: int | None = None) -> Path:
    from export.rir_bank import ensure_bank

    return ensure_bank(room, CACHE / "rooms", lambda done, total: show(f"room {room.name}", done, total), jobs)


def _preset_bank(name: str) -> Path:
    with _progress_bar() as show:
        return _bank(PRESETS[name], show)


def _layout(name: str, sofa: Path | None) -> Layout:
    if name != "binaural":
        if sofa is not None:
            raise ConfigError("--sofa is for --layout binaural")
        return make_layout(name)
    return make_layout(name, load_sofa(sofa) if sofa is not None else find_hrtf(SYSTEM_SOFA))


def _check_engines(vision: str, sound: str) -> None:
    if vision not in ("auto", "builtin"):
        raise ConfigError(f"no vision engine called {vision!r} (there are auto, builtin)")
    if sound not in ("auto", "procedural"):
        raise ConfigError(f"no sound engine called {sound!r} (there are auto, procedural)")


_Hfov = Annotated[
    float | None,
    typer.Option(min=1, max=175, help="Horizontal field of view of the camera. [default: 70]", show_default=False),
]
_DOPPLER = "Let sound take its time, 3 ms a metre: what passes by is heard later, and shifts in pitch."
_Projection = Annotated[
    Projection | None,
    typer.Option(help="Kind of picture. [default: what the source says, else pinhole]", show_default=False),
]


# -- render -----------------------------------------------------------------------------------------------------------

_LayoutName = Literal["5.1", "7.1.4", "stereo", "binaural", "ambix", "ambix2", "ambix3"]
_Codec = Literal["aac", "opus", "flac", "pcm"]


@app.command()
def render(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Video, picture, folder of pictures, URL, camera:N, synthetic:NAME?key=value, or -."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Output: .wav .flac (sound), .mp4 .mov .mkv (video copied).")],
    layout: Annotated[
        _LayoutName, typer.Option(help="Loudspeakers, headphones (binaural), or Ambisonics of order 1 (ambix) to 3.")
    ] = "5.1",
    room: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}, or a .toml file.")] = DEFAULT_ROOM,
    stage: Annotated[
        Stage, typer.Option(help="Spread the picture: as filmed, wide (75 deg), or around (150 deg).")
    ] = "natural",
    hfov_deg: _Hfov = None,
    projection: _Projection = None,
    trace: Annotated[Path | None, typer.Option(help="Write one JSON line per frame.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the ground truth of a synthetic scene, likewise.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Stop after this many seconds. [default: all; 10 for a picture]", show_default=False
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Name sources: WHERE=NAME, for example left,moving=car. Repeatable.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Name sources from a sentence: 'two cars and a dog'.")] = "",
    vision: Annotated[str, typer.Option(help="Vision engine: auto or builtin.")] = "auto",
    sound: Annotated[str, typer.Option(help="Sound engine: auto or procedural.")] = "auto",
    codec: Annotated[_Codec | None, typer.Option(help="Audio codec. [default: by suffix]", show_default=False)] = None,
    sofa: Annotated[
        Path | None,
        typer.Option(
            help="SOFA file (SimpleFreeFieldHRIR) for binaural. [default: KEMAR if installed, else a sphere]",
            show_default=False,
        ),
    ] = None,
    night: Annotated[
        bool, typer.Option("--night", help="Smaller dynamic range: quiet sounds louder, loud ones quieter.")
    ] = False,
    doppler: Annotated[bool, typer.Option("--doppler", help=_DOPPLER)] = False,
    offline: Annotated[bool, typer.Option(help="Refuse whatever needs the network.")] = False,
) -> None:
    """Turn a video or picture into sound that comes from where things are."""
    from stream.render import RenderJob
    from stream.render import render as render_file

    _check_engines(vision, sound)
    rules = tuple(parse_label_rule(text) for text in label or ())
    chosen_room, chosen_layout = find_room(room), _layout(layout, sofa)
    clock = MonotonicClock()
    begun_s = clock.now_s()
    with _progress_bar() as show:
        job = RenderJob(
            uri=source,
            out=out,
            layout=chosen_layout,
            bank=_bank(chosen_room, show),
            seed=seed,
            stage=stage,
            hfov_deg=hfov_deg,
            projection=projection,
            duration_s=duration,
            trace=trace,
            truth=truth,
            rules=rules,
            prompt=prompt,
            codec=codec,
            offline=offline,
            night=night,
            doppler=doppler,
        )
        try:
            report = render_file(job, clock, None, show)
        except KeyboardInterrupt:
            part = out.with_name(out.name + ".part")
            kept = f"; what was rendered is in {part}" if part.exists() else ""
            _err.print(f"earshot: interrupted{kept}", markup=False)
            raise typer.Exit(INTERRUPTED) from None
    speed = report.duration_s / max(clock.now_s() - begun_s, 1e-9)
    video = {None: "", True: ", video copied", False: ", video encoded"}[report.copied]
    _err.print(
        f"{out}: {report.duration_s:.2f} s, {chosen_layout.name}{video}, {report.sources} sources in {report.frames} frames, "
        f"{report.integrated_lufs:.1f} LUFS, peak {report.peak_dbtp:.1f} dBTP, {speed:.1f} x real time",
        markup=False,
    )


# -- serve ------------------------------------------------------------------------------------------------------------

DEFAULT_SOURCE = "synthetic:street"


@app.command()
def serve(
    source: Annotated[
        list[str] | None,
        typer.Option(help=f"What to watch; repeat for a choice. [default: {DEFAULT_SOURCE}]", show_default=False),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0 takes a free one. [default: 8080]", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with the same options; the command line wins.")] = None,
    room: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(PRESETS)}, or a .toml file. [default: {DEFAULT_ROOM}]", show_default=False
        ),
    ] = None,
    stage: Annotated[
        Stage | None, typer.Option(help="natural, wide or surround. [default: natural]", show_default=False)
    ] = None,
    hfov_deg: _Hfov = None,
    projection: _Projection = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all voices. [default: 0]", show_default=False)] = None,
    label: Annotated[list[str] | None, typer.Option(help="Name sources: WHERE=NAME. Repeatable.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Name sources from a sentence.")] = None,
    sofa: Annotated[
        Path | None,
        typer.Option(help="SOFA file for headphones. [default: KEMAR if installed, else a sphere]", show_default=False),
    ] = None,
    doppler: Annotated[bool | None, typer.Option("--doppler", help=_DOPPLER)] = None,
) -> None:
    """Watch live video and play it from where things are, to browsers."""
    from export.rir_bank import ensure_bank
    from stream.live import LiveOptions
    from stream.server import LAYOUTS, ServerOptions
    from stream.server import serve as serve_forever

    given = {
        "source": source, "host": host, "port": port, "room": room, "stage": stage, "hfov_deg": hfov_deg,
        "projection": projection, "seed": seed, "label": label, "prompt": prompt, "sofa": sofa, "doppler": doppler,
    }  # fmt: skip
    wanted: dict[str, Any] = read_config(config) | {
        key: value for key, value in given.items() if value is not None and value != []
    }
    first_room = find_room(str(wanted.get("room", DEFAULT_ROOM)))
    rooms = PRESETS | {first_room.name: first_room}
    uris = [str(uri) for uri in wanted.get("source", [DEFAULT_SOURCE])]
    rules = tuple(parse_label_rule(str(text)) for text in wanted.get("label", []))
    head = Path(str(wanted["sofa"])) if "sofa" in wanted else None
    clock = MonotonicClock()
    for uri in uris:
        open_input(uri, clock, live=True).close()
    layouts = {name: _layout(name, head if name == "binaural" else None) for name in LAYOUTS}
    progress = ExitStack()
    show = progress.enter_context(_progress_bar())

    def ready(url: str) -> None:
        progress.close()
        # On standard output, so that a script can wait for it.
        _out.print(f"earshot is live at {url}", markup=False, soft_wrap=True)
        sys.stdout.flush()

    options = ServerOptions(
        uris=uris,
        host=str(wanted.get("host", "127.0.0.1")),
        port=int(wanted.get("port", 8080)),
        layouts=layouts,
        rooms=tuple(rooms),
        room=first_room.name,
        # On one core: the audio thread needs the other.
        bank=lambda name: ensure_bank(rooms[name], CACHE / "rooms", jobs=1),
        seed=int(wanted.get("seed", 0)),
        doppler=bool(wanted.get("doppler", False)),
        live=LiveOptions(wanted.get("stage", "natural"), wanted.get("hfov_deg"), wanted.get("projection")),
        rules=rules,
        prompt=str(wanted.get("prompt", "")),
        warming=lambda done, total: show("kernels", done, total),
        ready=ready,
    )
    with progress:
        _bank(first_room, show)
        asyncio.run(serve_forever(options, clock))
    _err.print("earshot: stopped")


# -- rooms and voices -------------------------------------------------------------------------------------------------


@rooms_app.command("list")
def rooms_list() -> None:
    """Show the presets and every bank of impulse responses in the cache."""
    from export.bank_cache import list_banks

    table = Table("room", "size m", "RT60 s at 1 kHz", "bank", "format", "on disk", "length s", "directory")
    for bank in list_banks(CACHE / "rooms"):
        size = " x ".join(f"{s:g}" for s in bank.size_m)
        # The fourth octave band from 125 Hz.
        rt60, length = (
            (f"{bank.rt60_s[3]:.2f}" if bank.rt60_s else ""),
            (f"{bank.length_s:.2f}" if bank.length_s else ""),
        )
        on_disk = f"{bank.n_bytes / 1e6:.1f} MB" if bank.n_bytes else ""
        table.add_row(bank.room, size, rt60, bank.state, str(bank.format or ""), on_disk, length, bank.directory.name)
    _out.print(table)


@rooms_app.command("build")
def rooms_build(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE.toml...", help="Rooms to build; `all` for every preset.")
    ],
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Threads. [default: one per core]", show_default=False)
    ] = None,
) -> None:
    """Compute impulse responses now rather than when they are first needed; an interrupted build is continued."""
    from export.rir_bank import plan_bank

    rooms = [room for name in names for room in (PRESETS.values() if name == "all" else (find_room(name),))]
    clock = MonotonicClock()
    try:
        for room in rooms:
            plan = plan_bank(room, CACHE / "rooms", jobs)
            if plan.n_left:
                plan.trial()  # the first one loads libraries
                begun_s = clock.now_s()
                plan.trial()
                needed_s = (clock.now_s() - begun_s) * plan.n_left / plan.n_trial
                _err.print(
                    f"{room.name}: {plan.n_left} of {plan.n_points} points to compute, about {math.ceil(needed_s)} s "
                    f"and {plan.n_bytes / 1e6:.1f} MB"
                )
            with _progress_bar() as show:
                directory = _bank(room, show, jobs)
            _err.print(f"{room.name}: {directory}", markup=False)
    except KeyboardInterrupt:
        _err.print("earshot: interrupted; what is computed is kept, the same command goes on with it", markup=False)
        raise typer.Exit(INTERRUPTED) from None


@rooms_app.command("remove")
def rooms_remove(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Rooms; `all` for all.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only what this version has no use for, and interrupted builds.")
    ] = False,
) -> None:
    """Delete impulse responses from the cache."""
    from export.bank_cache import choose_banks, remove_bank

    chosen = choose_banks(CACHE / "rooms", names or [], only_stale=stale)
    for bank in chosen:
        remove_bank(bank)
    _err.print(f"{len(chosen)} removed, {sum(bank.n_bytes for bank in chosen) / 1e6:.1f} MB")


@app.command()
def voices() -> None:
    """List the procedural voices."""
    table = Table("voice", "what it is")
    for spec in VOICES.values():
        table.add_row(spec.name, spec.description)
    _out.print(table)


# -- bench and doctor -------------------------------------------------------------------------------------------------


@app.command()
def bench(
    cases: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CASE...]", help=f"Of {', '.join(CASES)}. [default: all but page]", show_default=False),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Save figures with the hardware they belong to.")] = None,
    media: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of videos for `render` and `vision`.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long `page` listens.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long `renderer` is paced, each time.")] = 60.0,
    plot: Annotated[
        Path | None,
        typer.Option(help="Save figures (PNG); of several cases that draw one, each adds its name to the file's."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="A short run, to see that everything works.")] = False,
) -> None:
    """Measure; exits with 1 when a budget is exceeded."""
    from bench.report import save
    from bench.suite import Options, choose_cases, run_cases

    chosen = choose_cases(cases or [], plot)
    with _progress_bar() as show:
        bank = _bank(PRESETS[DEFAULT_ROOM], show)
    reports = []
    for report in run_cases(chosen, Options(bank, _preset_bank, media, minutes, seconds, plot, quick)):
        report.show(_out)
        reports.append(report)
    if json is not None:
        save(json, reports)
    missed = [report.case for report in reports if report.passed is False]
    if missed:
        _err.print(f"earshot: over budget: {', '.join(missed)}", markup=False)
        raise typer.Exit(FAILED)


@app.command()
def doctor() -> None:
    """Look at this machine: versions, codecs, devices, what is missing and the command that mends it."""
    from stream.doctor import examine

    table = Table("", "what", "found", "to mend it")
    findings = examine(CACHE)
    for finding in findings:
        mark = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/]"}[finding.state]
        table.add_row(mark, *(escape(text) for text in (finding.what, finding.found, finding.mend)))
    _out.print(table)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    main()

"""The command line.

Exit codes: 0 done; 1 failed, one line on stderr says why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from engines.camera import Projection, Stage
from engines.errors import ConfigError, EarshotError
from engines.sound.naming import parse_label_rule
from engines.sound.registry import VOICES
from engines.spatial.bank import is_complete
from engines.spatial.hrtf import SYSTEM_SOFA, find_hrtf, load_sofa
from engines.spatial.layouts import Layout, make_layout
from engines.spatial.rooms import DEFAULT_ROOM, PRESETS, Room, find_room
from stream.clock import MonotonicClock
from stream.config import read_config
from stream.inputs.opening import open_input

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
CACHE = platformdirs.user_cache_path("earshot")
_LINE_EVERY_S = 5.0

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
rooms_app = typer.Typer(no_args_is_help=True, help="Rooms and their impulse responses.")
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


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, float, float | None], None]]:
    """A bar with ETA on a terminal, a plain line now and then in a log; told (stage, done, total or None)."""
    if _err.is_terminal:
        columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=_err, transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def show(stage: str, done: float, total: float | None) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=total)
                bar.update(tasks[stage], completed=done, total=total)

            yield show
        return
    clock = MonotonicClock()
    begun: dict[str, float] = {}
    last_s = -_LINE_EVERY_S

    def log(stage: str, done: float, total: float | None) -> None:
        nonlocal last_s
        now_s = clock.now_s()
        begun.setdefault(stage, now_s)
        if now_s - last_s < _LINE_EVERY_S:
            return
        last_s = now_s
        spent_s = now_s - begun[stage]
        if total and done > 0:
            left_s = spent_s * (total - done) / done
            _err.print(f"{stage} {100 * done / total:.0f} % ({left_s:.0f} s left)")
        else:
            _err.print(f"{stage} {done:.0f}")

    yield log


def _bank(room: Room, show: Callable[[str, float, float | None], None]) -> Path:
    from export.rir_bank import ensure_bank

    return ensure_bank(room, CACHE / "rooms", lambda done, total: show(f"room {room.name}", done, total))


def _layout(name: str, sofa: Path | None) -> Layout:
    if name != "binaural":
        if sofa is not None:
            raise ConfigError("--hrtf is for --layout binaural")
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
_Projection = Annotated[
    Projection | None,
    typer.Option(help="Kind of picture. [default: what the source says, else pinhole]", show_default=False),
]


# -- render -----------------------------------------------------------------------------------------------------------

_LayoutName = Literal["5.1", "stereo", "binaural", "ambix"]
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
        _LayoutName, typer.Option(help="Loudspeakers, headphones (binaural) or first-order Ambisonics.")
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
    hrtf: Annotated[
        Path | None,
        typer.Option(help="SOFA file for binaural. [default: KEMAR if installed, else a sphere]", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option(help="Refuse whatever needs the network.")] = False,
) -> None:
    """Turn a video or picture into sound that comes from where things are."""
    from stream.render import RenderJob
    from stream.render import render as render_file

    _check_engines(vision, sound)
    rules = tuple(parse_label_rule(text) for text in label or ())
    chosen_room, chosen_layout = find_room(room), _layout(layout, hrtf)
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
    hrtf: Annotated[
        Path | None,
        typer.Option(help="SOFA file for headphones. [default: KEMAR if installed, else a sphere]", show_default=False),
    ] = None,
) -> None:
    """Watch live video and play it from where things are, to browsers."""
    from export.rir_bank import ensure_bank
    from stream.live import LiveOptions
    from stream.server import LAYOUTS, ServerOptions
    from stream.server import serve as serve_forever

    given = {
        "source": source, "host": host, "port": port, "room": room, "stage": stage, "hfov_deg": hfov_deg,
        "projection": projection, "seed": seed, "label": label, "prompt": prompt, "hrtf": hrtf,
    }  # fmt: skip
    wanted: dict[str, Any] = read_config(config) | {
        key: value for key, value in given.items() if value is not None and value != []
    }
    first_room = find_room(str(wanted.get("room", DEFAULT_ROOM)))
    rooms = PRESETS | {first_room.name: first_room}
    uris = [str(uri) for uri in wanted.get("source", [DEFAULT_SOURCE])]
    rules = tuple(parse_label_rule(str(text)) for text in wanted.get("label", []))
    sofa = Path(str(wanted["hrtf"])) if "hrtf" in wanted else None
    clock = MonotonicClock()
    for uri in uris:
        open_input(uri, clock, live=True).close()
    layouts = {name: _layout(name, sofa if name == "binaural" else None) for name in LAYOUTS}
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
        bank=lambda name: ensure_bank(rooms[name], CACHE / "rooms"),
        seed=int(wanted.get("seed", 0)),
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
    """Show the presets and whether their impulse responses are built."""
    table = Table("room", "size m", "RT60 s", "built")
    for room in PRESETS.values():
        built = is_complete(CACHE / "rooms" / room.key)
        rt60 = f"{room.rt60_s:g}" if room.rt60_s else "by materials"
        table.add_row(room.name, " x ".join(f"{s:g}" for s in room.size_m), rt60, "yes" if built else "no")
    _out.print(table)


@rooms_app.command("build")
def rooms_build(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE.toml...", help="Rooms to build; `all` for every preset.")
    ],
) -> None:
    """Compute impulse responses now rather than when they are first needed."""
    rooms = [room for name in names for room in (PRESETS.values() if name == "all" else (find_room(name),))]
    with _progress_bar() as show:
        for room in rooms:
            _err.print(f"{room.name}: {_bank(room, show)}", markup=False)


@app.command()
def voices() -> None:
    """List the procedural voices."""
    table = Table("voice", "what it is")
    for spec in VOICES.values():
        table.add_row(spec.name, spec.description)
    _out.print(table)


# -- bench and doctor -------------------------------------------------------------------------------------------------

CASES = ("motion-to-sound", "convolver", "render", "vision", "directions", "page")


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
    plot: Annotated[Path | None, typer.Option(help="Where `page` saves its plot (PNG).")] = None,
    quick: Annotated[bool, typer.Option(help="A short run, to see that everything works.")] = False,
) -> None:
    """Measure; exits with 1 when a budget is exceeded."""
    from bench.report import save
    from bench.suite import run_case

    chosen = cases or [case for case in CASES if case != "page"]
    for case in chosen:
        if case not in CASES:
            near = difflib.get_close_matches(case, CASES, n=1)
            raise ConfigError(
                f"no benchmark called {case!r} (there are {', '.join(CASES)})"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    with _progress_bar() as show:
        bank = _bank(PRESETS[DEFAULT_ROOM], show)
    reports = []
    for case in chosen:
        report = run_case(case, bank=bank, media=media, minutes=minutes, plot=plot, quick=quick)
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

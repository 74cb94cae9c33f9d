"""The house: small files, documented, in layers, and nothing written down that does not exist."""

import ast
import inspect
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

import earshot

HOME = Path(__file__).resolve().parent.parent
PACKAGES = ("stream", "engines", "export", "bench")
LONGEST = 450
PRODUCT = [HOME / "earshot.py", *(path for package in PACKAGES for path in sorted((HOME / package).rglob("*.py")))]
TESTS = sorted((HOME / "tests").rglob("*.py"))
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def named(path):
    return str(path.relative_to(HOME))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    """Top-level names of all that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: imports are absolute"
            names.add(node.module.split(".")[0])
    return names


def requirement_name(text):
    return re.match(r"[A-Za-z0-9._-]+", text)[0].lower()


# -- Python -----------------------------------------------------------------------------------------------------------


def test_there_is_a_house_to_look_at():
    assert len(PRODUCT) > 50
    assert all(any(path.is_relative_to(HOME / package) for path in PRODUCT) for package in PACKAGES)


@pytest.mark.parametrize("path", PRODUCT + TESTS, ids=named)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def undocumented(node, inside=""):
    """Public modules, classes and functions without a docstring."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A setter belongs to its property, which says what it is.
            setter = any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in child.decorator_list)
            if child.name.startswith("_") or setter:
                continue
            if not ast.get_docstring(child):
                yield f"{inside}{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, f"{child.name}.")


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_everything_public_is_documented(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    assert list(undocumented(tree)) == []


@pytest.mark.parametrize("path", [p for p in PRODUCT if p.name != "earshot.py"], ids=named)
def test_nothing_imports_the_command_line(path):
    assert "earshot" not in imports_of(path)


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_only_the_clock_and_the_benchmarks_know_the_time(path):
    if named(path) != "stream/clock.py" and path.relative_to(HOME).parts[0] != "bench":
        assert not imports_of(path) & {"time", "datetime"}


def test_no_module_hides_one_of_the_standard_library():
    names = {part for path in PRODUCT for part in (path.stem, *path.relative_to(HOME).parts[:1])}
    assert not {name for name in names if name in sys.stdlib_module_names}


@pytest.mark.parametrize("path", [p for p in TESTS if p.name.startswith("test_")], ids=named)
def test_a_test_file_tests(path):
    tree = tree_of(path)
    tests = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name[:5] == "test_"
    ]
    assert tests
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    # None of them sleeps through a failure, is left out, or has a time limit.
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|@pytest\.mark\.timeout", text)


# -- installation -----------------------------------------------------------------------------------------------------


def test_the_base_installation_is_light():
    base = {requirement_name(text) for text in PROJECT["dependencies"]}
    assert base
    assert not base & {
        "torch",
        "torchvision",
        "torchaudio",
        "onnxruntime",
        "onnxruntime-gpu",
        "tensorrt",
        "transformers",
    }


def test_every_pinned_version_is_allowed():
    """`requirements.txt` holds the versions that the tests ran with; all that is asked for must be among them."""
    lines = (HOME / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {requirement_name(line).replace("_", "-") for line in lines if line and not line.startswith("#")}
    wanted = {requirement_name(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])}
    assert wanted <= pinned


def test_the_licence_is_apache_2():
    text = (HOME / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability" in text
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]


def docker_instructions():
    text = (HOME / "Dockerfile").read_text(encoding="utf-8")
    whole = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [line.split(maxsplit=1) for line in whole.splitlines() if line.strip()]


def test_the_image_copies_what_there_is():
    sources = []
    for word, rest in docker_instructions():
        if word == "COPY" and "--from" not in rest:
            sources += shlex.split(rest)[:-1]
    assert {"earshot.py", "engines", "stream", "export", "bench"} <= set(sources)
    assert [s for s in sources if not (HOME / s).exists()] == []
    for package in PROJECT["scripts"].values():
        assert f"{package.split(':')[0]}.py" in sources


def test_the_image_installs_extras_that_there_are():
    installs = [rest for word, rest in docker_instructions() if word == "RUN" and "pip install" in rest]
    assert installs
    extras = {e for rest in installs for group in re.findall(r"\.\[([^\]]+)\]", rest) for e in group.split(",")}
    assert extras <= set(PROJECT["optional-dependencies"])
    for rest in installs:
        assert all((HOME / name).is_file() for name in re.findall(r"-[cr] (\S+)", rest))


# -- what is written down ---------------------------------------------------------------------------------------------


def make_targets():
    """Name -> help of every target that is a word."""
    text = (HOME / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):(?!=)(.*)$", text, re.M)
    return {name: rest.partition("## ")[2].strip() for names, rest in rules for name in names.split()}


def test_every_make_target_says_what_it_does():
    targets = make_targets()
    assert {"help", "demo", "test", "check", "bench", "clean"} <= set(targets)
    # Steps that the others need are not for the user.
    assert [name for name, text in targets.items() if not text and not name.startswith("packages-")] == []


def commands_in(text):
    """Command lines of the fenced shell blocks of a Markdown text, without prompts and comments, continued lines joined."""
    lines = []
    for language, block in re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.M | re.S):
        if language.strip().split(" ")[0] not in ("", "sh", "bash", "shell", "console"):
            continue
        for line in re.sub(r"\\\n", " ", block).splitlines():
            command = re.sub(r"^\s*\$ ", "", line).strip()
            if command and not command.startswith("#"):
                lines.append(command)
    return lines


def parts_of(command):
    """The simple commands of a line: those between pipes, `&&` and `;`."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    words: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            words.append([])
        else:
            words[-1].append(word)
    return [part for part in words if part]


def complaint(words, targets, program):
    """Why a command of ours would not run, or None."""
    words = [w for w in words if not re.fullmatch(r"[A-Z_]+=.*", w)]
    if not words:
        return None
    if words[0] == "make":
        missing = [w for w in words[1:] if not w.startswith("-") and w not in targets]
        return f"make has no {missing}" if missing else None
    if Path(words[0]).name != "earshot":
        return None
    command = program
    for word in words[1:]:
        if hasattr(command, "commands") and not word.startswith("-"):
            if word not in command.commands:
                return f"earshot has no command {word!r}"
            command = command.commands[word]
        elif word.startswith("--"):
            known = {o for p in command.params for o in p.opts} | {"--help"}
            if word.partition("=")[0] not in known:
                return f"{command.name} has no option {word}"
    return None


def test_every_command_of_the_readme_exists():
    program = typer.main.get_command(earshot.app)
    text = (HOME / "README.md").read_text(encoding="utf-8")
    parts = [part for command in commands_in(text) for part in parts_of(command)]
    assert [c for part in parts if (c := complaint(part, make_targets(), program))] == []
    # Also those in running text.
    inline = re.findall(r"`((?:make|earshot) [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    found = [complaint(part, make_targets(), program) for command in inline for part in parts_of(command)]
    assert [c for c in found if c] == []


def test_a_wrong_command_in_a_readme_would_be_noticed():
    program = typer.main.get_command(earshot.app)
    text = (
        "Text\n```sh\n$ make demo PORT=1  # serve\nearshot render a.mp4 \\\n  --out b.wav | cat\n"
        "earshot rooms list && earshot rendr x\nmake tset\nearshot render a --outt b\n```\n```python\nmake nothing\n```\n"
    )
    found = [complaint(p, make_targets(), program) for c in commands_in(text) for p in parts_of(c)]
    wrong = [c for c in found if c]
    assert wrong == ["earshot has no command 'rendr'", "make has no ['tset']", "render has no option --outt"]


def test_files_that_the_readme_links_to_exist():
    text = (HOME / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    assert [link for link in links if "://" not in link and not (HOME / link).exists()] == []


def test_the_errors_of_the_user_are_one_family():
    from engines import errors

    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    assert len(classes) > 3
    assert all(issubclass(c, errors.EarshotError) for c in classes)

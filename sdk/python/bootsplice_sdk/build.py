"""Builds the component of a project: stages its modules, the SDK and third-party packages, and runs componentize-py.

`pyproject.toml` names the class: `[tool.bootsplice] generator = "motd:Motd"`. Packages in `[project] dependencies` are bundled from the
running interpreter's site-packages, or from a directory that `pip install --target` filled.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

_HERE = Path(__file__).parent
_NATIVE = (".so", ".pyd", ".dylib")
_ENTRY = """\
from {module} import {name}
from bootsplice_sdk.component import component
from bootsplice_sdk.sandbox import close
PluginInfo, Generator = component({name})
close()
"""


class BuildError(Exception):
    """What to mend, for people."""


def build(project: Path, output: Path, packages: Path | None = None) -> Path:
    """Writes the component of the project in `project` to `output`."""
    settings = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    named = settings.get("tool", {}).get("bootsplice", {}).get("generator", "")
    module, colon, name = named.partition(":")
    if not (colon and module and name.isidentifier()):
        raise BuildError('pyproject.toml names no class: write `[tool.bootsplice]` and `generator = "module:Class"`')
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch)
        _own_modules(project, module.partition(".")[0], stage)
        _sdk(stage)
        for wanted in settings.get("project", {}).get("dependencies", []):
            _package(_requirement(wanted), packages, stage, set())
        (stage / "bootsplice_entry.py").write_text(_ENTRY.format(module=module, name=name), "utf-8")
        made = stage / "component.wasm"
        _componentize(stage, made)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, output)
    return output


def bindings(directory: Path) -> None:
    """Writes the stubs of `_bindings` anew, from the contract."""
    with tempfile.TemporaryDirectory() as scratch:
        _run(["bindings", scratch])
        for name in ("wit_world", "componentize_py_types.py"):
            source, place = Path(scratch) / name, directory / name
            if source.is_dir():
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(source, place)
            else:
                shutil.copy(source, place)


def _own_modules(project: Path, top: str, stage: Path) -> None:
    apart = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "tests", "*.egg-info")
    for root in (project / "src", project):
        if (root / top).is_dir() or (root / f"{top}.py").is_file():
            shutil.copytree(root, stage, ignore=apart, dirs_exist_ok=True)
            return
    raise BuildError(f"there is no module `{top}` in {project} or {project / 'src'}")


def _sdk(stage: Path) -> None:
    ours = shutil.ignore_patterns("__pycache__", "_bindings", "testing", "build.py", "__main__.py", "wit")
    shutil.copytree(_HERE, stage / "bootsplice_sdk", ignore=ours)


def _requirement(text: str) -> str:
    return re.split(r"[\s\[;<>=!~]", text.strip(), maxsplit=1)[0]


def _package(name: str, packages: Path | None, stage: Path, seen: set[str]) -> None:
    """Copies the files of an installed distribution, and of those that it requires."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen or key == "bootsplice-sdk":
        return
    seen.add(key)
    where = [str(packages)] if packages else sys.path
    found = next(iter(metadata.distributions(name=name, path=where)), None)
    if found is None:
        raise BuildError(f"package `{name}` is not installed: `pip install {name}` into this environment, or name --packages DIR")
    for file in found.files or []:
        if file.suffix in _NATIVE:
            raise BuildError(f"package `{name}` has native code ({file}): only pure Python runs in a component")
        source = Path(str(found.locate_file(file)))
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        place = stage / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    for wanted in found.requires or []:
        if ";" not in wanted:
            _package(_requirement(wanted), packages, stage, seen)


def _componentize(stage: Path, output: Path) -> None:
    # Stubs for WASI: what would reach outside is not even imported.
    _run(["componentize", "--stub-wasi", "-p", str(stage), "-o", str(output), "bootsplice_entry"], stage)


def _run(arguments: list[str], where: Path | None = None) -> None:
    beside = Path(sys.executable).with_name("componentize-py")
    program = str(beside) if beside.is_file() else shutil.which("componentize-py")
    if program is None:
        raise BuildError("componentize-py is not installed: `pip install --require-hashes -r requirements.txt`")
    # No virtual environment and no site-packages but what was staged.
    surroundings = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    command = [program, "--quiet", "--wit-path", str(_HERE / "wit"), "--world", "plugin", *arguments]
    done = subprocess.run(command, cwd=where, env=surroundings, capture_output=True, text=True)
    if done.returncode != 0:
        # The tool's own stack tells an author nothing.
        said = (done.stdout + done.stderr).partition("\nStack backtrace:")[0].partition("AssertionError: ")
        raise BuildError(f"componentize-py failed:\n{said[2] or said[0]}".rstrip())

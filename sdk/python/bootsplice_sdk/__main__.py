"""`python -m bootsplice_sdk build [PROJECT] [-o FILE] [--packages DIR]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from filecmp import dircmp
from pathlib import Path

from .build import BuildError, bindings, build

_BINDINGS = Path(__file__).with_name("_bindings")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bootsplice_sdk")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make the component of a project")
    make.add_argument("project", type=Path, nargs="?", default=Path())
    make.add_argument("-o", "--output", type=Path, help="where it goes; PROJECT/build/component.wasm by default")
    make.add_argument("--packages", type=Path, help="a directory that `pip install --target` filled")
    stubs = commands.add_parser("bindings", help="for developers of the SDK: make the stubs anew from the contract")
    stubs.add_argument("--check", action="store_true", help="only say whether they are as the contract has them")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            started = time.monotonic()
            output = build(arguments.project, arguments.output or arguments.project / "build/component.wasm", arguments.packages)
            size = output.stat().st_size
            print(f"{output}: {size} bytes in {time.monotonic() - started:.1f} s")
            return 0
        return _bindings(arguments.check)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _bindings(check: bool) -> int:
    if not check:
        bindings(_BINDINGS)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        bindings(Path(scratch))
        if _same(dircmp(_BINDINGS, scratch, ignore=["__pycache__"])):
            return 0
    print("the stubs are not the contract's: `python -m bootsplice_sdk bindings`", file=sys.stderr)
    return 1


def _same(compared: dircmp[str]) -> bool:
    differ = compared.left_only or compared.right_only or compared.diff_files
    return not differ and all(map(_same, compared.subdirs.values()))


if __name__ == "__main__":
    raise SystemExit(main())

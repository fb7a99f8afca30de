#!/usr/bin/env python3
"""Fuzz one target guided by coverage: `coverage_guided.py TARGET CORPUS [libFuzzer options]`.

It needs atheris, which is no dependency of the project: make a virtual environment of its own (see
docs/fuzzing.md). pytest does not collect this file. The corpus directory is filled with the seeds
first, and grows with every input that reaches something new.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("firmware", "tests")]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["ratwall"]):
    from fuzz.seeds import SEEDS
    from fuzz.targets import TARGETS


def main() -> None:
    """Write the seeds, then run until told to stop, or until a find."""
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        print(f"usage: {sys.argv[0]} {'|'.join(TARGETS)} CORPUS [option...]", file=sys.stderr)
        sys.exit(2)
    name, corpus, *options = sys.argv[1:]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]()):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

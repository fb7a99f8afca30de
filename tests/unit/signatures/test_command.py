"""`ratwall signatures check`: what is loaded, or the first fault."""

import argparse
from pathlib import Path

import pytest

from ratwall.errors import ExitCode, UsageError
from ratwall.signatures import command
from ratwall.signatures.pack import SHIPPED


def check(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["check", *map(str, arguments)]))


def test_lists_the_packs_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["asyncrat", "version", "1", "4"]
    assert lines[-1].endswith("well-formed")
    assert len(lines) == 1 + len(list(SHIPPED.glob("*.toml")))


def test_reads_the_files_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SHIPPED / "dcrat.toml") == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "dcrat  version 1    3 rules, 2 of them able to block  DcRat by qwqdanchun, and "
        "descendants that keep the author's name in the issuer",
        "packs: 1, rules: 3, all well-formed",
    ]


def test_a_faulty_file_is_an_error_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "x"\n')
    with pytest.raises(UsageError, match=r"broken\.toml: version: missing"):
        check(SHIPPED / "dcrat.toml", broken)
    assert capsys.readouterr().out == ""

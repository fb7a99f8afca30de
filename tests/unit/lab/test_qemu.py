"""The driver of emulated boxes, without one: what it says to QEMU and to the box."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ratwall_lab.qemu.console import Console
from ratwall_lab.qemu.errors import MachineError
from ratwall_lab.qemu.qmp import Qmp
from ratwall_lab.qemu.shell import SCRIPT, Shell, qemu_arguments


@contextmanager
def peer(folder: Path, *answers: bytes) -> Iterator[tuple[Path, list[bytes]]]:
    """A unix socket whose other end says one answer a line it hears; what it heard."""
    path, heard = folder / "sock", list[bytes]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            # Whoever asked may be gone before the answer: that is a test's matter, not the peer's.
            with (
                suppress(OSError),
                connection,
                connection.makefile("rwb", buffering=0) as file,
            ):
                for answer in answers:
                    if answer.startswith(b"{"):
                        file.write(answer)  # QMP's greeting comes unasked
                        continue
                    line = file.readline()
                    if not line:
                        return
                    heard.append(line)
                    file.write(answer.strip(b"*").replace(b"NUMBER", line.split()[0]))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, heard
        finally:
            thread.join(10)


def nobody_dies() -> None:
    """The box is alive."""


def test_an_answer_to_an_older_question_is_not_taken_for_this_one(tmp_path: Path) -> None:
    late, wanted = base64.b64encode(b"late"), base64.b64encode(b"ok\n")
    said = b"0 0 " + late + b"\nNUMBER 3 " + wanted + b"\n"
    with peer(tmp_path, said) as (path, heard):
        shell = Shell(path, nobody_dies)
        answer = shell.execute("echo ok; exit 3", 5)
        shell.close()
    assert answer == (3, "ok\n")
    assert base64.b64decode(heard[0].split()[2]) == b"echo ok; exit 3"


def test_nobody_waits_for_a_box_that_has_ended(tmp_path: Path) -> None:
    def dead() -> None:
        raise MachineError("the box is gone")

    with peer(tmp_path, b"") as (path, _):
        shell = Shell(path, dead)
        with pytest.raises(MachineError, match="gone"):
            shell.execute("true", 600)
        shell.close()


def test_the_shell_comes_with_the_firmware_and_from_nowhere_else() -> None:
    arguments = " ".join(qemu_arguments(Path("/somewhere/shell.sock")))
    assert base64.b64encode(SCRIPT.encode()).decode() in arguments
    assert "io.systemd.credential.binary:systemd.extra-unit.ratwall-lab-shell.service" in arguments
    overlay = Path(__file__).parents[3] / "rootfs-overlay"
    files = [path for path in overlay.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert not [path for path in files if "lab-shell" in path.read_text(errors="replace")]


def test_qemus_complaint_is_told(tmp_path: Path) -> None:
    greeting = b'{"QMP": {}}\n{"return": {}}\n'
    complaint = b'*{"event": "STOP"}\n{"error": {"class": "x", "desc": "no such thing"}}\n'
    with (
        peer(tmp_path, greeting, b"*", complaint) as (path, heard),
        Qmp(path) as qmp,
        pytest.raises(MachineError, match="snapshot-save: no such thing"),
    ):
        qmp.execute("snapshot-save", tag="x")
    assert b'"execute": "snapshot-save"' in heard[1]


def test_a_console_is_read_from_the_last_power_on(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    assert console.text() == ""
    console.path.write_bytes(b"\x1b[0;32mslot A, try 1\x1b[0m\r\nKernel panic - not syncing\n")
    assert console.find(r"slot A, try \d$")
    assert console.fatal() == "Kernel panic"
    console.mark()
    assert console.fatal() is None
    console.path.write_bytes(console.path.read_bytes() + b"slot B\n")
    assert console.text() == "slot B\n"

"""What cannot be used is refused in one line: what, where, what to do; and nothing has changed.

Every case is a process as a user starts it, in the box of a lab. The table says what was given,
what the line must hold, and the documented exit code.
"""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ratwall
from inline.conftest import fingerprint, running_box
from inline.traffic import meets
from ratwall.errors import ExitCode
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End
from ratwall_lab.topology import Lab, Mode

PORTS = ("--lan", "lan", "--wan", "wan")
INLINE = (*PORTS, "--mode", "router")
NOBODY = 65_534
TAKEN = 6500  # a port on which somebody else listens
HOLD_PORT = f"""
import socket, time
listener = socket.create_server(("127.0.0.1", {TAKEN}))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def mode() -> Mode:
    return "router"


def ratwall_in(
    lab: Lab, *arguments: object, prefix: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `ratwall …` in the box to its end."""
    return lab.box.run(
        [*prefix, sys.executable, "-m", "ratwall", *map(str, arguments)],
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )


def refused(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    """Assert that a command was refused with this code, in one line that holds all of `says`."""
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ratwall: ")
    for part in says:
        assert part in lines[0]
    assert done.returncode == code


def content(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes | None] | None:
    """Every name below a folder with its bytes, None for a folder that is not there."""
    if not folder.exists():
        return None
    names = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() else None
        for name, path in names.items()
        if name not in without
    }


# Written anew for each start, also for one that a process then refuses.
OF_THIS_START = ("run/lock", "run/settings.toml")


def old_state(folder: Path) -> Path:
    """The state directory of a box that ran before."""
    for name in ("ledger.sqlite3", "run/settings.toml", "run/lock", "web/credentials.json"):
        path = folder / "old" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("history\n")
    return folder / "old"


def changes_nothing(
    lab: Lab,
    folder: Path,
    says: tuple[str, ...],
    *arguments: object,
    without: tuple[str, ...] = (),
    **environment: str,
) -> None:
    """Assert that `ratwall run` is refused, on a new state directory and on an old one, and that
    network and directories (in them all but `without`) are afterwards what they were."""
    network = fingerprint(lab)
    for state in (folder / "new", old_state(folder)):
        before = content(state, without)
        done = ratwall_in(lab, "run", "--state-dir", state, *arguments, **environment)
        refused(done, ExitCode.USAGE, *says)
        assert done.stdout == ""
        assert content(state, without) == before
    assert fingerprint(lab) == network


# --- settings ------------------------------------------------------------------------------------

SETTINGS = {
    "wrong type": (b'[block]\nseconds = "long"\n', ("[block] seconds: expected", 'found "long"')),
    "unknown key": (b"[detection]\nenforec = true\n", ("enforec: unknown key", '"enforce"?')),
    "unknown section": (b"[detektion]\n", ("[detektion]: unknown section", '"detection"?')),
    "bad value": (b"[kernel]\nqueue = 70000\n", ("[kernel] queue: expected", "found 70000")),
    "contradiction": (b"[detection]\nwatch = 90\n", ("expected watch < alert < block", "90, 60")),
    "not TOML": (b"= nonsense\n", ("not valid TOML", "line 1")),
    "not text": (b"\xff\xfe", ("not UTF-8 text at byte 0",)),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings(lab: Lab, tmp_path: Path, kind: str) -> None:
    config = tmp_path / "ratwall.toml"
    config.write_bytes(SETTINGS[kind][0])
    says = (f"{config}: ", *SETTINGS[kind][1])
    changes_nothing(lab, tmp_path, says, *INLINE, "--config", config)


@pytest.mark.parametrize(
    ("name", "reason"), [("nosuch.toml", "No such file"), ("", "Is a directory")]
)
def test_settings_that_are_no_file(lab: Lab, tmp_path: Path, name: str, reason: str) -> None:
    config = tmp_path / name
    says = (f"{config}: cannot read the settings", reason)
    changes_nothing(lab, tmp_path, says, *INLINE, "--config", config)


# --- arguments -----------------------------------------------------------------------------------

WEB = (*INLINE, "--web")
ARGUMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no such interface": (
        ("--lan", "nosuch", "--wan", "wan"),
        ("--lan: no interface 'nosuch' here", "there are: lan, lo, wan"),
    ),
    "no such interface, wan": (
        ("--lan", "lan", "--wan", "nosuch"),
        ("--wan: no interface 'nosuch' here",),
    ),
    "the same interface twice": (
        ("--lan", "lan", "--wan", "lan"),
        ("--lan and --wan: two different interfaces are needed", "'lan' twice"),
    ),
    "only one interface": (("--lan", "lan"), ("--lan and --wan are needed",)),
    "a bridge to route": ((*INLINE, "--create-bridge"), ("--create-bridge: goes with",)),
    "no such mode": ((*PORTS, "--mode", "switch"), ("--mode", "'router', 'bridge'", "--help")),
    "no such option": ((*INLINE, "--wab", "1"), ("--wab", "--help")),
    "no address for the page": ((*WEB, "nonsense"), ("--web: expected HOST:PORT", "'nonsense'")),
    "an address of others": ((*WEB, "192.0.2.1:8443"), ("--web 192.0.2.1:8443: cannot listen",)),
    "a port taken": (
        (*WEB, f"127.0.0.1:{TAKEN}"),
        (f"--web 127.0.0.1:{TAKEN}: cannot listen there", "choose another port or stop"),
    ),
}


@pytest.fixture(scope="module")
def taken_port(lab: Lab) -> Iterator[None]:
    holder = lab.box.popen([sys.executable, "-c", HOLD_PORT], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    yield
    holder.kill()
    holder.wait()


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments(lab: Lab, tmp_path: Path, kind: str) -> None:
    arguments, says = ARGUMENTS[kind]
    changes_nothing(lab, tmp_path, says, *arguments)


def test_ports_that_are_no_bridge(lab: Lab, tmp_path: Path) -> None:
    """Found out when the first process runs already and the rules are about to go in."""
    says = ("--mode bridge: lan and wan are not ports of one bridge", "add --create-bridge")
    changes_nothing(lab, tmp_path, says, *PORTS, "--mode", "bridge", without=OF_THIS_START)


def test_a_state_directory_that_is_a_file_or_somebody_s(lab: Lab, tmp_path: Path) -> None:
    file, home = tmp_path / "file", tmp_path / "home"
    file.write_text("a letter")
    home.mkdir()
    (home / "letter").write_text("a letter")
    network, before = fingerprint(lab), content(tmp_path)
    for state, says in ((file, "cannot be prepared"), (home, "give a new or an empty directory")):
        done = ratwall_in(lab, "run", "--state-dir", state, *INLINE)
        refused(done, ExitCode.USAGE, f"--state-dir {state}: ", says)
    assert content(tmp_path) == before
    assert fingerprint(lab) == network


# --- the machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "package"), [("nft", "nftables"), ("ip", "iproute2")])
def test_a_tool_is_missing(lab: Lab, tmp_path: Path, tool: str, package: str) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    for folder in reversed(os.get_exec_path()):
        for program in Path(folder).glob("*"):
            if program.name != tool:
                (path / program.name).unlink(missing_ok=True)
                (path / program.name).symlink_to(program)
    with lab.box.enter():  # `ip netns exec` would need the `ip` that is missing
        before, state = fingerprint(lab), tmp_path / "state"
        done = subprocess.run(
            [sys.executable, "-m", "ratwall", "run", "--state-dir", str(state), *INLINE],
            env={**os.environ, "PATH": str(path)},
            capture_output=True,
            text=True,
            check=False,
        )
    says = (f"{tool} not found", f"apt-get install {package}")
    refused(done, ExitCode.FAILED, *says)
    assert not state.exists()
    assert fingerprint(lab) == before


@pytest.mark.parametrize("command", [("run", *INLINE), ("selftest",)], ids=["run", "selftest"])
def test_without_root(lab: Lab, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A user who may read whatever Python is made of, wherever it lies, and may nothing else."""
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reads = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")
    bound = ("--bounding-set=-all,+dac_read_search",)
    before, state = fingerprint(lab), tmp_path / "state"
    done = ratwall_in(
        lab, *command, "--state-dir", state, prefix=("setpriv", *user, *reads, *bound)
    )
    refused(done, ExitCode.NOT_PERMITTED, "must be root", "try: sudo ratwall")
    assert not state.exists()
    assert fingerprint(lab) == before


def test_a_second_instance_is_refused_and_harms_nothing(
    lab: Lab, rat: Identity, tmp_path: Path
) -> None:
    with running_box(lab, tmp_path) as box:
        network, free = fingerprint(lab), ("--web", "127.0.0.1:8444")
        lock = (box.state / "run" / "lock").read_bytes()
        same = ratwall_in(lab, "run", "--state-dir", box.state, *INLINE, *free)
        refused(same, ExitCode.USAGE, f"{box.state}: another ratwall", "stop that one first")
        assert (box.state / "run" / "lock").read_bytes() == lock
        assert (box.state / "run" / "control.sock").exists()

        other = tmp_path / "other"
        queue = ratwall_in(lab, "run", "--state-dir", other, *INLINE, *free)
        refused(queue, ExitCode.USAGE, "packet queue 0", "second ratwall", "[kernel] queue")
        assert not other.exists()

        assert fingerprint(lab) == network
        assert box.ask("status")["state"] == "protecting"
        assert meets(lab, rat, 6400) is End.RESET


# --- signature packs -----------------------------------------------------------------------------

RULE = """
[[rule]]
id = "mine.one"
points = 20
group = "port"
text = "an odd port"
reason = "few use it"
when = { port = [6606] }
"""
HEAD = 'name = "mine"\nversion = 1\nabout = "a pack for this test"\n'


@dataclass(frozen=True)
class Pack:
    text: bytes
    says: tuple[str, ...]


PACKS = {
    "not TOML": Pack(b"= nonsense\n", ("not a TOML file", "line 1")),
    "not text": Pack(b"\xff\xfe", ("not a TOML file",)),
    "empty": Pack(b"", ("name: missing; allowed is",)),
    "wrong type": Pack(
        (HEAD + RULE).replace("= 20", '= "many"').encode(),
        ('rule 1 "mine.one": points: allowed is a whole number', "found 'many'"),
    ),
    "bad value": Pack(
        (HEAD + RULE).replace("= 20", "= 101").encode(), ("points: allowed is", "found 101")
    ),
    "unknown key": Pack(
        (HEAD + RULE).replace("points", "pionts").encode(),
        ("pionts: unknown key; allowed are",),
    ),
    "unknown condition": Pack(
        (HEAD + RULE).replace("port = [", "prot = [").encode(),
        ("when.prot: unknown key; allowed are",),
    ),
    "no rule": Pack(HEAD.encode(), ("rule: missing; allowed is one [[rule]] or more",)),
}


@pytest.mark.parametrize("kind", PACKS)
def test_a_signature_pack(lab: Lab, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(PACKS[kind].text)
    done = ratwall_in(lab, "signatures", "check", path)
    refused(done, ExitCode.USAGE, f"{path}: ", *PACKS[kind].says)
    assert done.stdout == ""


def test_a_signature_pack_that_is_not_there(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "nosuch.toml"
    done = ratwall_in(lab, "signatures", "check", path)
    refused(done, ExitCode.USAGE, f"{path}: cannot be read: No such file")


def test_the_box_does_not_start_with_a_damaged_pack(lab: Lab, tmp_path: Path) -> None:
    """The packs lie beside the code: damaged here in a copy of it."""
    code = tmp_path / "code"
    shutil.copytree(Path(ratwall.__file__).parent, code / "ratwall")
    pack = code / "ratwall" / "signatures" / "asyncrat.toml"
    pack.write_text("= nonsense\n")
    says = (f"{pack}: not a TOML file", "line 1")
    changes_nothing(lab, tmp_path, says, *INLINE, without=OF_THIS_START, PYTHONPATH=str(code))


# --- captures ------------------------------------------------------------------------------------


def pcap(link_type: int, *frames: bytes) -> bytes:
    """A capture with these frames."""
    out = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link_type)
    return out + b"".join(
        struct.pack("<IIII", 1_706_000_000, 0, len(frame), len(frame)) + frame for frame in frames
    )


ETHERNET, USER0 = 1, 147
FRAME = bytes(60)
CAPTURES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("the file is empty; a pcap or pcapng capture is needed",)),
    "not a capture": (b"MZ\x90\0 and more", ("not a capture; a pcap or pcapng", "4d 5a 90 00")),
    "cut in the file's head": (pcap(ETHERNET)[:20], ("not a capture",)),
    "cut in a frame": (
        pcap(ETHERNET, FRAME, FRAME)[:-1],
        ("damaged or cut short after 1 packets, at byte 100",),
    ),
    "cut in a frame's head": (
        pcap(ETHERNET, FRAME, FRAME)[: 100 + 8],
        ("damaged or cut short after 1 packets, at byte 100",),
    ),
    "another link type": (pcap(USER0, FRAME), ("link type 147 cannot be read; allowed are",)),
}


@pytest.mark.parametrize("json", [False, True], ids=["for people", "json"])
@pytest.mark.parametrize("kind", CAPTURES)
def test_a_capture(lab: Lab, tmp_path: Path, kind: str, json: bool) -> None:
    path = tmp_path / "it.pcap"
    path.write_bytes(CAPTURES[kind][0])
    done = ratwall_in(lab, "replay", *(["--json"] if json else []), path)
    refused(done, ExitCode.USAGE, f"{path}: ", *CAPTURES[kind][1])
    assert path.read_bytes() == CAPTURES[kind][0]


@pytest.mark.parametrize(
    ("name", "reason"), [("nosuch.pcap", "No such file"), ("", "Is a directory")]
)
def test_a_capture_that_is_no_file(lab: Lab, tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    refused(ratwall_in(lab, "replay", path), ExitCode.USAGE, f"{path}: cannot be read", reason)

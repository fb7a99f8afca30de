"""The support bundle: what is promised is in it, and no secret of the box is, wherever one lies."""

import io
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratwall.errors import RatwallError
from ratwall.support import collect
from ratwall.support.bundle import CONTENTS, PART_LIMIT, WHOLE_SECONDS, Part, chosen, make
from ratwall.support.collect import Box
from ratwall.support.redact import REMOVED, Redaction, secrets_in
from ratwall_web.views.support import CONTENTS as SAID
from unit.controller.box import Box as Controller
from unit.controller.box import Running

NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
ARGON = "$argon2id$v=19$m=32768,t=3,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo"
SECRETS = {
    "password hash": ARGON,
    "hash of a token": "5f0c3d7be1a94c2fb9d7a6f1e2c3d4b5a6978811223344556677889900aabbcc",
    "token": "ratwall_ab12cd34_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4",
    "set-up code": "swim-lake-stone-42",
    "key of TLS": "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgplantedkey",
    "enrolment token": "enrolment-token-of-the-fleet",
    "webhook's secret": "webhook-signing-secret",
    "mail's password": "a password of the mail server",
    "password of mqtt": "mosquitto-password-1",
    "path of a hook": "T000/B000/XXXXsecretpath",
    "feed's key": "auth-key-of-a-feed-9",
    "password in an address": "hunter2hunter2",
}
SETTINGS = f"""\
[export.webhook]
url = "https://hooks.example/{SECRETS["path of a hook"]}"
secret_file = "@/elsewhere/webhook"
[export.mqtt]
server = "mqtt.example:8883"
user = "shop"
password_file = "@/elsewhere/mqtt"
[notify.mail]
password = "{SECRETS["mail's password"]}"
[[feeds]]
source = "https://feeds.example/list?auth={SECRETS["feed's key"]}"
[detection]
block = 80
"""


@pytest.fixture
def box(box: Controller, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A running box with a secret in every place, all of which were also logged by mistake."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "webhook").write_text(SECRETS["webhook's secret"] + "\n")
    (tmp_path / "elsewhere" / "mqtt").write_text(SECRETS["password of mqtt"] + "\n")
    settings = tmp_path / "etc"
    settings.mkdir()
    (settings / "enrolment-token").write_text(SECRETS["enrolment token"] + "\n")
    web = box.state / "web"
    web.mkdir()
    (web / "credentials.json").write_text(json.dumps({"password": ARGON, "set": 1}))
    (web / "tokens.json").write_text(
        json.dumps({"tokens": [{"name": "x", "digest": SECRETS["hash of a token"]}]})
    )
    (web / "setup-code").write_text(SECRETS["set-up code"] + "\n")
    key = f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key of TLS']}\n-----END PRIVATE KEY-----\n"
    (web / "tls.key").write_text(key)
    (box.state / "run" / "settings.toml").write_text(SETTINGS.replace("@", str(tmp_path)))
    log = "\n".join(
        f"kernel: {name}: {secret}"
        for name, secret in SECRETS.items()
        if name != "password in an address"  # nobody knows that it is one where it stands alone
    )
    log += f"\nGET https://anna:{SECRETS['password in an address']}@feeds.example/\n{key}"

    def run(*argv: str) -> str:
        return log if argv[0] in ("journalctl", "systemctl") else f"{argv[0]} of {SECRETS['token']}"

    monkeypatch.setattr(collect, "run", run)
    return Box(box.state, settings)


def files(raw: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("traffic", [False, True])
def test_no_secret_of_the_box_is_in_it(box: Box, traffic: bool) -> None:
    parts = chosen(box.parts(), traffic=traffic)
    found = files(make(parts, box.redaction(), NOW))
    assert set(found) == {CONTENTS, *(part.name for part in parts)}
    for name, text in found.items():
        for what, secret in SECRETS.items():
            assert secret not in text, f"{what} in {name}"
    assert ("incidents.json" in found) == traffic
    # What is of use is still there.
    assert json.loads(found["status.json"])["mode"] == "bridge"
    settings = json.loads(found["settings.json"])
    assert settings["detection"] == {"block": 80}
    assert settings["export"]["webhook"]["url"] == f"https://hooks.example/{REMOVED}"
    assert settings["export"]["mqtt"]["server"] == "mqtt.example:8883"
    assert "audit_entry" in json.loads(found["ledger.json"])["newest_row"]
    for part in parts:
        assert part.about in found[CONTENTS]


def test_the_test_would_find_one(box: Box) -> None:
    """Without the nets each planted secret is there."""
    text = "".join(files(make(box.parts(), _Nothing(), NOW)).values())
    missing = {name for name, secret in SECRETS.items() if secret not in text}
    assert missing == set()


class _Nothing(Redaction):
    def text(self, text: str) -> str:
        return text


def test_each_net_holds_for_itself() -> None:
    patterns = Redaction()
    for name in ("password hash", "token"):
        assert SECRETS[name] not in patterns.text(f"x {SECRETS[name]} y")
    exact = Redaction(secrets_in(b'{"a": ["a secret word", "short"]}'))
    assert exact.text("a secret word is short") == f"{REMOVED} is short"
    assert exact.settings({"smtp_password": 5, "x": "a secret word"}) == {
        "smtp_password": REMOVED,
        "x": REMOVED,
    }


def test_a_part_that_cannot_be_had_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RatwallError("systemctl: not here")

    parts = [Part("a.txt", "a", fail), Part("b.txt", "b", lambda: "there")]
    found = files(make(parts, Redaction(), NOW))
    assert found["a.txt"] == "could not be had: systemctl: not here\n"
    assert found["b.txt"] == "there"


def test_size_and_time_are_bounded() -> None:
    clock: Iterator[float] = iter([0.0, 0.0, WHOLE_SECONDS + 1])
    parts = [
        Part("log.txt", "a long log", lambda: "x" * PART_LIMIT + "the end"),
        Part("late.txt", "never asked", lambda: 1 / 0),  # type: ignore[return-value,arg-type]
    ]
    found = files(make(parts, Redaction(), NOW, lambda: next(clock)))
    assert len(found["log.txt"]) < PART_LIMIT + 100 and found["log.txt"].endswith("the end")
    assert "too slow" in found["late.txt"]


def test_a_tool_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "TOOL_SECONDS", 0.1)
    with pytest.raises(RatwallError, match="timed out"):
        collect.run("sleep", "60")
    with pytest.raises(RatwallError, match="no-such-tool"):
        collect.run("no-such-tool")


def test_what_the_page_says_is_what_is_in_it() -> None:
    told = [part for part in Box(Path("/nowhere")).parts() if not part.traffic]
    assert len(SAID) == len(told)
    for sentence, part in zip(SAID, told, strict=True):
        assert _words(sentence) & _words(part.about), (sentence, part.about)


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}


@pytest.mark.parametrize("make_pipe", [True, False])
def test_a_trap_among_the_secrets_holds_nobody(
    box: Box, make_pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = box.state_dir / "web" / "trap"
    build: Callable[[], object] = (
        (lambda: subprocess.run(["mkfifo", trap], check=True))
        if make_pipe
        else (lambda: trap.symlink_to("/dev/zero"))
    )
    build()
    assert SECRETS["set-up code"] not in box.redaction().text(SECRETS["set-up code"])

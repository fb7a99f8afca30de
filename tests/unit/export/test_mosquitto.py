"""The exporter and a real mosquitto, with mosquitto's own client as the one who listens.

Broker and client run on loopback with configurations of their own. The client has a session that
lasts, so that what the broker took while it was away is not lost on the way to the test.
"""

import gc
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratwall.export.courier import DeliveryError
from ratwall.export.mqtt import MqttReceiver
from ratwall.settings.export import ExportMqtt
from ratwall_lab.certificates import Notary
from unit.export.conftest import (
    WAIT_SECONDS,
    Story,
    eventually,
    exporter,
    facts,
    free_port,
    record,
)

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/sbin:/bin")
pytestmark = pytest.mark.skipif(
    MOSQUITTO is None or shutil.which("mosquitto_sub") is None,
    reason="needs mosquitto and its clients: scripts/setup installs them",
)

CONFIG = """
listener {port} 127.0.0.1
user {user}
persistence true
persistence_location {folder}/
{more}
"""
PASSWORD = "open sesame"


class Broker:
    """A broker that can be ended and started again at the same port."""

    def __init__(self, folder: Path, more: str = "allow_anonymous true") -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "mosquitto.conf"
        user = Path("~").expanduser().owner()  # it stays who the test is
        self.config.write_text(CONFIG.format(port=self.port, user=user, folder=folder, more=more))

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "broker.log").open("ab") as output:
            process = subprocess.Popen(
                [str(MOSQUITTO), "-c", str(self.config)], stdout=output, stderr=output
            )
        try:
            eventually(self._listens, (self.folder / "broker.log").read_text)
            yield
        finally:
            process.terminate()  # it writes its sessions down
            process.wait(WAIT_SECONDS)

    def _listens(self) -> bool:
        wanted = f"0100007F:{self.port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in lines)

    @contextmanager
    def listener(self, *options: str) -> Iterator["Heard"]:
        """Somebody who has subscribed to everything."""
        out = self.folder / "heard"
        with out.open("wb") as file:
            process = subprocess.Popen(
                ["mosquitto_sub", "-h", "localhost", "-p", str(self.port), "-V", "mqttv5"]
                + ["-c", "-i", "judge", "-x", "3600", "-q", "1", "-t", "office/#"]
                + ["-F", "%t %q %r %p", *options],
                stdout=file,
            )
        try:
            log = self.folder / "broker.log"
            eventually(lambda: b"as judge" in log.read_bytes(), log.read_text)
            yield Heard(out)
        finally:
            process.kill()
            process.wait()


class Heard:
    """What the listener has written down."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def told(self, topic: str) -> list[tuple[int, bool, str]]:
        """Quality of service, retained, and text of each message on a topic, in order."""
        found = []
        for line in self.file.read_text().splitlines(keepends=True):
            name, quality, retained, text = line.split(" ", 3)
            if line.endswith("\n") and name == topic:
                found.append((int(quality), retained == "1", text.rstrip("\n")))
        return found

    def servers(self) -> list[str]:
        """The servers of the incidents that were told, without repeats, in order."""
        events = [json.loads(text) for _, _, text in self.told("office/events")]
        return list(dict.fromkeys(each["destination"]["ip"] for each in events))

    def online(self) -> list[str]:
        return [text for _, _, text in self.told("office/online")]


def settings(port: int, **more: Any) -> str:
    values = {"server": f"localhost:{port}", "topic": "office", "tls": False, **more}
    return "[export.mqtt]\n" + "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in values.items()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "broker"
    folder.mkdir()
    return folder


def test_an_outage_of_the_broker_loses_nothing_and_keeps_the_order(
    folder: Path, state_dir: Path, story: Story
) -> None:
    broker = Broker(folder)
    process = exporter(state_dir, settings(broker.port))
    with broker.running(), broker.listener() as heard, process:
        servers = story.incidents(3)
        eventually(lambda: heard.servers() == servers, heard.servers)
    assert [(quality, kept) for quality, kept, _ in heard.told("office/events")] == [(1, False)] * 3
    with exporter(state_dir, settings(broker.port)):
        servers += story.incidents(30)
        eventually(lambda: facts(state_dir, "mqtt").get("error"), lambda: "no error")
        with broker.running(), broker.listener() as heard:
            eventually(lambda: heard.servers() == servers[3:], heard.servers)


def test_who_comes_later_knows_how_the_box_is_and_whether_it_is_there(
    folder: Path, state_dir: Path, story: Story
) -> None:
    broker = Broker(folder)
    story.state("protecting")
    with broker.running():
        with exporter(state_dir, settings(broker.port)) as process:
            eventually(lambda: facts(state_dir, "mqtt").get("sent") == 1, lambda: "not sent")
            with broker.listener() as heard:
                eventually(lambda: heard.online() == ["true"], heard.online)
                ((_, kept, text),) = eventually(lambda: heard.told("office/state"), heard.online)
                assert kept and json.loads(text)["message"] == "Protecting"
                story.state("bypassed", "no inspector is running")
                eventually(lambda: len(heard.told("office/state")) == 2, heard.online)
                assert "no inspector is running" in heard.told("office/state")[1][2]
                # Ended in order or not, its last will is heard.
                process.send_signal(signal.SIGTERM)
                eventually(lambda: heard.online() == ["true", "false"], heard.online)
                assert process.wait(WAIT_SECONDS) == 0
        with exporter(state_dir, settings(broker.port)) as process:
            story.state("protecting")
            with broker.listener() as heard:
                eventually(lambda: heard.online()[-1:] == ["true"], heard.online)
                process.kill()
                eventually(lambda: heard.online()[-1:] == ["false"], heard.online)
            process.wait()
            process.returncode = 0  # killed on purpose


# The library leaves the socket of a handshake that failed to Python's collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls_and_a_password_are_used_and_never_told(folder: Path) -> None:
    notary = Notary()
    identity, authority = notary.web_site("localhost"), str(notary.trust_root())
    users, password = folder / "users", folder / "password"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "box", PASSWORD], check=True)
    broker = Broker(
        folder,
        f"certfile {identity.chain_file}\nkeyfile {identity.key_file}\npassword_file {users}",
    )

    def tell(**changed: Any) -> None:
        values = {"user": "box", "password_file": str(password), "ca_file": authority} | changed
        told = MqttReceiver(ExportMqtt(f"localhost:{broker.port}", **values), "box", lambda: None)
        try:
            told.deliver([record()])
        finally:
            told.close()

    with broker.running():
        with pytest.raises(DeliveryError, match="password cannot be read: No such file"):
            tell()
        password.write_text("wrong\n")
        with pytest.raises(DeliveryError, match="its certificate is not accepted"):
            tell(ca_file=None)
        with pytest.raises(DeliveryError, match="the broker refuses: Not authorized") as refused:
            tell()
        assert "wrong" not in str(refused.value)
        password.write_text(f"{PASSWORD}\n")
        tell()
    del refused
    gc.collect()  # here, where that is known, and not in a test after it


def test_a_record_that_the_broker_refuses_is_not_told(folder: Path) -> None:
    """It acknowledges what nobody is allowed to publish, with a word that says so."""
    rules = folder / "rules"
    rules.write_text("topic read office/#\ntopic write office/online\n")
    broker = Broker(folder, f"allow_anonymous true\nacl_file {rules}")
    with broker.running():
        told = MqttReceiver(
            ExportMqtt(f"localhost:{broker.port}", topic="office", tls=False), "box", lambda: None
        )
        with pytest.raises(DeliveryError, match="the broker refuses what is published: Not auth"):
            told.deliver([record()])
        told.close()

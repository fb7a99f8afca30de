"""The exporter and a real rsyslog: what the one says, the other reads, whatever happens to either.

rsyslog runs on loopback with a configuration of its own and writes each message, as it has
understood it, as a line of JSON.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratwall.export.courier import DeliveryError
from ratwall.export.syslog import SyslogReceiver
from ratwall.settings.export import ExportSyslog
from ratwall_lab.certificates import Notary
from unit.export.conftest import Story, eventually, exporter, facts, free_port, record

RSYSLOG = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin:/bin")
pytestmark = pytest.mark.skipif(RSYSLOG is None, reason="needs rsyslog: scripts/setup installs it")

CONFIG = """
global(workDirectory="{folder}" maxMessageSize="8k" {tls})
module(load="{module}" {stream})
input(type="{module}" address="127.0.0.1" port="{port}")
template(name="read" type="list" option.jsonf="on") {{
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="priority" name="pri" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}}
action(type="omfile" file="{out}" template="read")
"""
ANONYMOUS = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.Authmode="anon"'


class Rsyslog:
    """A server that can be ended and started again at the same port."""

    def __init__(self, folder: Path, transport: str, identity: Any = None) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.folder, self.transport, self.port = folder, transport, free_port(kind)
        self.out = folder / "out.json"
        tls = identity and (
            f'DefaultNetstreamDriverCAFile="{identity.chain_file}" '
            f'DefaultNetstreamDriverCertFile="{identity.chain_file}" '
            f'DefaultNetstreamDriverKeyFile="{identity.key_file}"'
        )
        (folder / "rsyslog.conf").write_text(
            CONFIG.format(
                folder=folder,
                module="imudp" if transport == "udp" else "imtcp",
                stream=ANONYMOUS if tls else "",
                tls=tls or "",
                port=self.port,
                out=self.out,
            )
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be there; killed at the end, as a server that loses its power is."""
        process = subprocess.Popen(
            [str(RSYSLOG), "-n", "-f", str(self.folder / "rsyslog.conf")]
            + ["-i", str(self.folder / "pid")],
            stderr=subprocess.PIPE,
        )
        try:
            eventually(self._listens, lambda: process.poll())
            yield
        finally:
            process.kill()
            process.communicate()
            (self.folder / "pid").unlink(missing_ok=True)

    def _listens(self) -> bool:
        wanted = f"0100007F:{self.port:04X} "
        table = "udp" if self.transport == "udp" else "tcp"
        return any(
            line.split()[1] + " " == wanted and line.split()[3] in ("0A", "07")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        )

    def messages(self) -> list[dict[str, Any]]:
        """What it has read so far."""
        if not self.out.exists():
            return []
        lines = self.out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def servers(self) -> list[str]:
        """The servers of the incidents it was told of, without repeats, in order."""
        found = [
            each["data"].partition(' server="')[2].partition('"')[0] for each in self.messages()
        ]
        return list(dict.fromkeys(found))


def settings(port: int, transport: str, **more: str) -> str:
    lines = [f'{key} = "{value}"' for key, value in more.items()]
    return "\n".join(
        ["[export.syslog]", f'server = "localhost:{port}"', f'transport = "{transport}"', *lines]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_rsyslog_reads_what_the_box_says(
    transport: str, folder: Path, state_dir: Path, story: Story
) -> None:
    server = Rsyslog(folder, transport)
    hostile = 'CN=a]b"c\\d\n<0>1 forged' + "x" * 10_000
    with server.running(), exporter(state_dir, settings(server.port, transport)):
        story.incident(headline=f"PC-ANNA {hostile}", family=hostile)
        message = eventually(server.messages, server.messages)[0]
        eventually(
            lambda: facts(state_dir, "syslog").get("sent") == 1, lambda: facts(state_dir, "syslog")
        )
    assert len(server.messages()) == 1
    assert message["app"] == "ratwall" and message["id"] == "incident_opened"
    assert message["host"] == socket.gethostname()
    assert message["priority"] == str(16 * 8 + 2)  # local0, critical
    assert ' server="203.0.113.7" server_port="6606" ' in message["data"]
    assert 'family="CN=a\\]b\\"c\\\\d\ufffd<0>1 forged' in message["data"]
    assert message["text"].removeprefix("\ufeff").startswith('PC-ANNA CN=a]b"c\\d\ufffd<0>1')


def test_an_outage_of_the_server_loses_nothing_and_keeps_the_order(
    folder: Path, state_dir: Path, story: Story
) -> None:
    server = Rsyslog(folder, "tcp")
    with exporter(state_dir, settings(server.port, "tcp")):
        with server.running():
            servers = story.incidents(3)
            eventually(lambda: server.servers() == servers, server.servers)
        servers += story.incidents(60)
        complaint = eventually(
            lambda: facts(state_dir, "syslog").get("error"), lambda: facts(state_dir, "syslog")
        )
        assert "localhost" in complaint or "closed" in complaint
        with server.running():
            eventually(lambda: server.servers() == servers, server.servers)


def test_a_restart_of_the_exporter_goes_on_where_it_was(
    folder: Path, state_dir: Path, story: Story
) -> None:
    server = Rsyslog(folder, "udp")
    with server.running():
        with exporter(state_dir, settings(server.port, "udp")):
            servers = story.incidents(2)
            eventually(lambda: server.servers() == servers, server.servers)
        servers += story.incidents(1)
        with exporter(state_dir, settings(server.port, "udp")):
            eventually(lambda: server.servers() == servers, server.servers)
        assert len(server.messages()) == 3


def test_tls_is_verified_and_a_stranger_is_told_nothing(folder: Path) -> None:
    notary = Notary()
    server = Rsyslog(folder, "tls", notary.web_site("localhost"))
    place = f"localhost:{server.port}"
    stranger = SyslogReceiver(ExportSyslog(place), "box")
    trusted = SyslogReceiver(ExportSyslog(place, ca_file=str(notary.trust_root())), "box")
    with server.running():
        with pytest.raises(DeliveryError, match="its certificate is not accepted"):
            stranger.deliver([record(sequence=1)])
        trusted.deliver([record(sequence=2)])
        eventually(server.messages, lambda: "nothing was read")
        eventually(trusted.check, lambda: "not acknowledged")
        trusted.close()
    assert [' seq="2" ' in each["data"] for each in server.messages()] == [True]

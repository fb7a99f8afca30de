"""Tells an MQTT broker: version 5, each record with quality of service 1 on TOPIC/events.

TOPIC/state and TOPIC/online are retained, so that whoever subscribes later knows at once how the
box is, and that it is there; "online" is also the last will, which the broker sends when the box
falls silent. A record counts as told when the broker has acknowledged it, and not refused it.

Design note: nothing waits in the client, and it has no thread and no session of its own: the ledger
is the store, and a connection that breaks is begun anew.
"""

import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt.client import Client, MQTTErrorCode, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ratwall.errors import RatwallError
from ratwall.export.connection import CONNECT_SECONDS, SEND_SECONDS, secret, tls_context, words
from ratwall.export.courier import DeliveryError
from ratwall.export.ecs import ecs_text
from ratwall.export.records import Record
from ratwall.settings.export import ExportMqtt, parse_server

KEEPALIVE_SECONDS: Final = 60  # the broker sends the last will after one and a half of it
LOOP_SECONDS: Final = 0.2  # a wait for the broker's word, cut into pieces
QOS: Final = 1  # at least once
REFUSED: Final = 0x80  # reason codes from here on are failures (MQTT 5, section 2.4)
STATE_EVENT: Final = "box_state"


class MqttReceiver:
    """One broker; the connection is made when there is something to tell, and kept."""

    settle_seconds = 0.0  # the broker says that it has them

    def __init__(
        self, settings: ExportMqtt, host: str, newest_state: Callable[[], Record | None]
    ) -> None:
        """`host` is the box's name; `newest_state` gives how it is now, None if nobody knows."""
        self._settings = settings
        self._place = parse_server(str(settings.server))
        self._host = host
        self._newest_state = newest_state
        self._client: Client | None = None
        self._answer: int | None = None  # the broker's to CONNECT
        self._awaited: set[int] = set()  # numbers of packets that are not acknowledged
        self._refusal: str | None = None
        self.where = f"{settings.server} over MQTT{' with TLS' if settings.tls else ''}"

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish records in order; DeliveryError unless the broker acknowledged each."""
        if self._client is None:
            self._connect()
        for record in records:
            text = ecs_text(record, self._host)
            self._publish("events", text)
            if record.event == STATE_EVENT:
                self._publish("state", text, retain=True)
        self._wait(lambda: not self._awaited)

    def check(self) -> bool:
        """Keep the connection alive; DeliveryError if it is gone."""
        if self._client is not None:
            self._turn(0.0)
        return True

    def close(self) -> None:
        """Leave, and have the broker send the last will: nobody hears from this box any more."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
            # What it held goes with it: a socket that still stood after a refusal, too.
            if (connection := client.socket()) is not None:
                connection.close()
        self._awaited.clear()

    def _connect(self) -> None:
        # A name of its own each time: two boxes of one name would throw each other out.
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"ratwall-{secrets.token_hex(8)}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.on_connect = self._connected
        client.on_publish = self._published
        client.will_set(f"{self._settings.topic}/online", "false", QOS, retain=True)
        if self._settings.user is not None:
            password = self._settings.password_file
            client.username_pw_set(
                self._settings.user, None if password is None else secret(password)
            )
        if self._settings.tls:
            client.tls_set_context(tls_context(self._settings.ca_file))
        host, port = self._place
        self._answer = self._refusal = None
        self._awaited.clear()
        self._client = client
        try:
            client.connect(host, port, KEEPALIVE_SECONDS, clean_start=True)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise DeliveryError(f"{self.where}: {words(error)}") from error
        self._wait(lambda: self._answer is not None)
        self._publish("online", "true", retain=True)
        state = self._state()
        if state is not None:
            self._publish("state", ecs_text(state, self._host), retain=True)

    def _state(self) -> Record | None:
        try:
            return self._newest_state()
        except RatwallError as error:
            raise DeliveryError(str(error)) from error

    def _publish(self, name: str, text: str, *, retain: bool = False) -> None:
        assert self._client is not None, "published before it is connected"
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        told = self._client.publish(
            f"{self._settings.topic}/{name}", text, QOS, retain=retain, properties=properties
        )
        if told.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise DeliveryError(f"{self.where}: not sent: {error_string(told.rc)}")
        self._awaited.add(told.mid)

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SEND_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise DeliveryError(f"{self.where}: no answer in time")
            self._turn(LOOP_SECONDS)

    def _turn(self, seconds: float) -> None:
        assert self._client is not None, "turned before it is connected"
        code = self._client.loop(seconds)
        if self._refusal is not None:
            raise DeliveryError(f"{self.where}: {self._refusal}")
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise DeliveryError(f"{self.where}: the connection broke: {error_string(code)}")

    def _connected(self, client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self._answer = code.value
        if code.value >= REFUSED:
            self._refusal = f"the broker refuses: {code}"

    def _published(
        self, client: Client, data: Any, number: int, code: Any, properties: Any
    ) -> None:
        self._awaited.discard(number)
        if code.value >= REFUSED:
            self._refusal = f"the broker refuses what is published: {code}"

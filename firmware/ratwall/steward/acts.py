"""What each verb does, as root: a file of its own, and one fixed command of systemd's.

Never runs anything else, never reads what lasts, and waits for nothing long: what takes minutes is
a unit of its own, started here and sandboxed for itself.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.kernel.command import ToolError
from ratwall.kernel.command import run as run_tool
from ratwall.replacing import replace_file
from ratwall.steward.order import Order, Verb

RESET_MARK = b"The box empties its data partition at its next start.\n"
SECONDS_AN_HOUR = 3_600
SYSTEMCTL = ("systemctl", "--no-ask-password")
UPDATE_UNIT = "ratwall-update.service"
SELFTEST_UNIT = "ratwall-selftest.service"
SUPPORT_UNIT = "ratwall-support.service"
BUNDLE_UNIT = "ratwall-bundle.service"


@dataclass(frozen=True, slots=True)
class Steward:
    """The places that it writes, and how it runs a tool: a test has others."""

    run_dir: Path = Path("/run/ratwall")
    boot_dir: Path = Path("/mnt/bootsel")
    run: Callable[..., str] = run_tool
    clock: Callable[[], int] = lambda: time.time_ns() // 1000

    def do(self, order: Order) -> None:
        """Begin what is asked; RatwallError says why not, and then nothing was changed."""
        match order.verb:
            case Verb.RESTART:
                self._leave("reboot.target")
            case Verb.POWER_OFF:
                self._leave("poweroff.target")
            case Verb.FACTORY_RESET:
                self._reset()
            case Verb.UPDATE:
                self._change("install", order.url)
            case Verb.ROLLBACK:
                self._change("rollback", None)
            case Verb.SELFTEST:
                self._systemctl("--no-block", "start", SELFTEST_UNIT)
            case Verb.SUPPORT_ON:
                self._support(order)
            case Verb.SUPPORT_OFF:
                self._systemctl("stop", SUPPORT_UNIT)
            case Verb.SUPPORT_BUNDLE:
                request = {"incidents": order.incidents is True, "began": self.clock()}
                self._write("bundle-request.json", request, 0o644)
                self._systemctl("--no-block", "start", BUNDLE_UNIT)

    def _leave(self, target: str) -> None:
        # As `systemctl reboot` does where nobody logs in; asked like that it first waits half a
        # minute for logind, which a box without its data partition cannot start.
        self._systemctl("--no-block", "--job-mode=replace-irreversibly", "start", target)

    def _reset(self) -> None:
        # On the partition that chooses the slot, as an owner who is locked out does from a PC.
        mark = self.boot_dir / "factory-reset"
        try:
            replace_file(mark, RESET_MARK)
        except OSError as error:
            raise RatwallError(
                f"factory-reset: {mark}: cannot be written: {error.strerror}; nothing was changed"
            ) from error
        try:
            self._leave("reboot.target")
        except RatwallError:
            mark.unlink(missing_ok=True)  # or some later start would do it, unasked
            raise

    def _change(self, what: str, url: str | None) -> None:
        if self._is_active(UPDATE_UNIT):
            raise RatwallError("update: another one is being installed; wait for it")
        request = {"what": what, "url": url}
        # What the page shows until the unit speaks for itself.
        state = {"what": what, "state": "running", "step": "", "percent": 0, "began": self.clock()}
        self._write("update-state.json", state | {"ended": None, "reason": ""}, 0o644)
        self._write("update-request.json", request, 0o600)
        self._systemctl("--no-block", "start", UPDATE_UNIT)

    def _support(self, order: Order) -> None:
        if self._is_active(SUPPORT_UNIT):
            raise RatwallError("support-on: it is on already; switch it off first")
        seconds = (order.hours or 0) * SECONDS_AN_HOUR
        self._write_text("support-keys", f"{order.key}\n", 0o644)
        self._write_text("support-time", f"SUPPORT_SECONDS={seconds}\n", 0o644)
        self._write("support.json", {"until": self.clock() + seconds * 1_000_000}, 0o644)
        self._systemctl("start", SUPPORT_UNIT)

    def _is_active(self, unit: str) -> bool:
        shown = self._systemctl("show", "--property=ActiveState", "--value", unit).strip()
        return shown not in ("inactive", "failed")

    def _write(self, name: str, content: object, mode: int) -> None:
        self._write_text(name, json.dumps(content) + "\n", mode)

    def _write_text(self, name: str, text: str, mode: int) -> None:
        path = self.run_dir / name
        try:
            replace_file(path, text, mode=mode, durable=False)
        except OSError as error:
            raise RatwallError(f"{path}: cannot be written: {error.strerror}") from error

    def _systemctl(self, *arguments: str) -> str:
        try:
            return self.run(*SYSTEMCTL, *arguments)
        except ToolError as error:
            raise RatwallError(f"systemd refuses: {error}") from error

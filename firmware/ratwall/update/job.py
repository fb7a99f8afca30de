"""`python -m ratwall.update.job`: the change of the version that the page asked for, as a unit.

It reads what the steward wrote down, does it as the command line would, and says in memory how far
it came. The uploaded file is the page's, so it is believed in nothing: RAUC verifies who signed it,
and it is gone afterwards. With `--ended` it only notes that the job before it did not end itself.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratwall.controller.client import Client
from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall.update import overview
from ratwall.update.change import install, restart, roll_back
from ratwall.update.place import Place, sole_update
from ratwall.update.progress import (
    BYTES_LIMIT,
    REQUEST_NAME,
    STATE_NAME,
    Progress,
    begin,
    dump,
    load,
)
from ratwall.update.telling import note

UPLOAD_NAME = "upload.raucb"  # in the page's own directory
UPLOADED = "the uploaded file"


@dataclass(frozen=True, slots=True)
class Job:
    """One change and the places that it uses."""

    place: Place
    state_dir: Path
    runtime_dir: Path
    restart: Callable[[], None] = restart
    clock: Callable[[], int] = lambda: time.time_ns() // 1000

    @property
    def upload(self) -> Path:
        """Where the page leaves an uploaded update."""
        return self.state_dir / "web" / UPLOAD_NAME

    def run(self) -> bool:
        """Do what was asked; whether that worked."""
        request = self.runtime_dir / REQUEST_NAME
        progress = begin("install", self.clock())
        try:
            what, url = _read(request)
            progress = begin(what, self.clock())
            self._change(what, url, progress)
        except (RatwallError, OSError) as error:
            words = " ".join(str(error).split()).removeprefix("update: ")
            words = words.replace(str(self.upload), UPLOADED)
            self._keep((self._kept() or progress).over(self.clock(), words or "no reason given"))
            note(Client(self.state_dir / "run" / "control.sock"), f"not done: {words}")
            overview.keep(self.place)
            return False
        finally:
            request.unlink(missing_ok=True)
            self.upload.unlink(missing_ok=True)
        return True

    def ended(self) -> None:
        """Note that a job ended without a word."""
        kept = self._kept()
        if kept is not None and kept.state == "running":
            self._keep(kept.over(self.clock(), "the installation broke off; try again"))

    def _change(self, what: str, url: str | None, progress: Progress) -> None:
        self._keep(progress)
        told = [progress]

        def tell(text: str) -> None:
            told.append(told.pop().told(text))
            self._keep(told[0])

        with sole_update(self.place):
            if what == "install":
                install(self.place, url or str(self.upload), tell, drop=True)
            else:
                roll_back(self.place)
            overview.keep(self.place)
            self._keep(told[0].over(self.clock()))
            self.restart()

    def _keep(self, progress: Progress) -> None:
        replace_file(self.runtime_dir / STATE_NAME, dump(progress), durable=False)

    def _kept(self) -> Progress | None:
        try:
            with (self.runtime_dir / STATE_NAME).open("rb") as file:
                return load(file.read(BYTES_LIMIT))
        except OSError:
            return None


def _read(path: Path) -> tuple[str, str | None]:
    """Return what is to be done, and from which address; UsageError if nobody says so."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(BYTES_LIMIT))
        what, url = found["what"], found["url"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"update: nothing was asked for ({path}: {error})") from error
    if what not in ("install", "rollback") or not (url is None or isinstance(url, str)):
        raise UsageError(f"update: {path}: expected install or rollback")
    return what, url


def main() -> int:
    """Do what was asked once."""
    parser = argparse.ArgumentParser(prog="ratwall.update.job")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--runtime-dir", type=Path, required=True)
    parser.add_argument("--ended", action="store_true")
    options = parser.parse_args()
    job = Job(Place(), options.state_dir, options.runtime_dir)
    if options.ended:
        job.ended()
        return 0
    return 0 if job.run() else 1


if __name__ == "__main__":
    sys.exit(main())

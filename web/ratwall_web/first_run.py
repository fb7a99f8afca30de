"""How far the first run has got: a word in a file of the page's own, gone when it is over.

It begins with the password. A box without the file has been set up, or was by a seed: nobody is
asked to do it again, and a file that cannot be read asks for nothing either.
"""

import json

from ratwall.replacing import replace_file
from ratwall_web.config import Config

# In their order; the first step of all, code and password, is over when there is a file.
STEPS = ("place", "protection", "test")
FILE_BYTES = 256  # far more than it holds


class FirstRun:
    """The first run of one box."""

    def __init__(self, config: Config) -> None:
        self._path = config.web_dir / "first-run.json"

    def step(self) -> str | None:
        """Return the step that comes next, None if there is nothing left to do."""
        try:
            with self._path.open("rb") as file:
                step = json.loads(file.read(FILE_BYTES))["step"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return step if step in STEPS else None

    def begin(self) -> None:
        """Come to the first step after the password."""
        self._keep(STEPS[0])

    def done(self, step: str) -> None:
        """Go on behind a step, unless that was gone through before."""
        now = self.step()
        if now == step and step != STEPS[-1]:
            self._keep(STEPS[STEPS.index(step) + 1])

    def finish(self) -> None:
        """End it."""
        self._path.unlink(missing_ok=True)

    def _keep(self, step: str) -> None:
        replace_file(self._path, json.dumps({"step": step}) + "\n", mode=0o600)

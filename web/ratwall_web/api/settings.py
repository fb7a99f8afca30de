"""The settings for programs: read with a tag, changed only by who knows what they change.

A secret is written and never read; of an address whose path is as good as a password only those
see the whole who may also change it.
"""

import hashlib
import json
from typing import Any

from flask import Blueprint, g, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall.settings.catalogue import SECRETS, Entry, entries, said, without_private
from ratwall_web.api import gate
from ratwall_web.api.answers import TAG_DIGITS, document, take_parameters
from ratwall_web.api.body import read_object
from ratwall_web.api.problem import ProblemError
from ratwall_web.control import RefusedError
from ratwall_web.services import services
from ratwall_web.tokens import ACT

REFUSED = {409: "refused", 503: "controller-unavailable"}

blueprint = Blueprint("api_settings", __name__, url_prefix="/api/v1")


@blueprint.get("/settings")
def show() -> BaseResponse:
    """Return every setting: its value, its default, whether it is set, whether it needs a start."""
    take_parameters()
    file = _ask("settings")
    found = file["document"] if g.token.scope == ACT else without_private(file["document"])
    shown = {name: _shown(entry, found) for name, entry in entries().items()}
    answer = {"settings": shown, "waiting": file["waiting"], "problem": file["problem"]}
    return document(answer, tag=_tag(file))


@blueprint.patch("/settings")
def change() -> BaseResponse:
    """Change settings: all of those given, or none."""
    take_parameters()
    given = read_object()
    file = _ask("settings")
    tags = request.if_match
    if not tags:
        raise ProblemError(
            428, "no-if-match", "Send If-Match with the ETag that the settings were read with."
        )
    if not tags.contains(_tag(file)):
        raise ProblemError(
            412, "changed-meanwhile", "The settings are not as you read them; nothing was changed."
        )
    answer = _ask(
        "settings_set",
        changes={name: value for name, value in given.items() if name not in SECRETS},
        secrets={name: value for name, value in given.items() if name in SECRETS},
        digest=file["digest"],
        dry=False,
    )
    return document({"changed": answer["changed"], "waiting": answer["waiting"]})


def _shown(entry: Entry, found: dict[str, Any]) -> dict[str, Any]:
    value = said(found, entry.name)
    shown: dict[str, Any] = {"set": value is not None, "needs_restart": entry.needs_restart}
    if entry.name in SECRETS:
        return shown | {"secret": True}
    return shown | {
        "secret": False,
        "value": entry.default if value is None else value,
        "default": entry.default,
    }


def _tag(file: dict[str, Any]) -> str:
    """Return the tag of the settings: what the file says, what waits, and who looks."""
    state = [file["digest"], file["waiting"], file["problem"], g.token.scope]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:TAG_DIGITS]


def _ask(command: str, **arguments: Any) -> dict[str, Any]:
    try:
        return services().control.change(command, author=gate.author(), **arguments)
    except RefusedError as error:
        raise ProblemError(error.status, REFUSED[error.status], str(error)) from error

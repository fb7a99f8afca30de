"""Who may use the page, who is signed in, and by which certificate it is known; for programs.

Only reads: users, sessions and certificate are changed by a person with a password, never by a
token, or whoever got hold of one could make itself at home.
"""

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.api.answers import document, instant, missing, take_parameters
from ratwall_web.services import services

blueprint = Blueprint("api_people", __name__, url_prefix="/api/v1")


@blueprint.get("/users")
def users() -> BaseResponse:
    """Return the users, in the order in which they were made."""
    take_parameters()
    items = [
        {
            "name": user.name,
            "role": user.role,
            "second_step": user.secret is not None,
            "password_set": instant(user.set),
        }
        for user in services().credentials.all()
    ]
    return document({"items": items})


@blueprint.get("/sessions")
def sessions() -> BaseResponse:
    """Return who is signed in, the newest first."""
    take_parameters()
    names = {user.id: user.name for user in services().credentials.all()}
    items = [
        {
            "user": names.get(session.user),
            "address": session.address,
            "browser": session.browser,
            "signed_in_s": int(age),
            "idle_s": int(idle),
        }
        for session, age, idle in services().sessions.all()
    ]
    return document({"items": items})


@blueprint.get("/page/certificate")
def certificate() -> BaseResponse:
    """Return the certificate by which the page is known."""
    take_parameters()
    there = services().certificates
    facts = there.own or there.box
    if facts is None:
        raise missing()
    return document(
        {
            "own": there.own is not None,
            "subject": facts.subject,
            "issuer": facts.issuer,
            "names": list(facts.names),
            "not_before": instant(facts.not_before),
            "not_after": instant(facts.not_after),
            "sha256": facts.fingerprint.removeprefix("SHA256:").replace(":", "").lower(),
        }
    )

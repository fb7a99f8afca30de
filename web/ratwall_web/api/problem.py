"""Every error of the API as RFC 9457 wants it: `application/problem+json`.

`code` is for programs and never changes its meaning, `detail` is for people. Never holds a trace.
"""

import json
from http import HTTPStatus

from flask import Response
from werkzeug.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
# Codes of what Flask itself refuses; a status that is not among them is its own words.
CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "not-json",
}
DETAILS = {404: "There is nothing here. What was may have been removed by the retention rules."}


class ProblemError(Exception):
    """A refusal: HTTP status, code, words, and headers that belong to it."""

    def __init__(
        self, status: int, code: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}


def answer(error: ProblemError) -> Response:
    """Return a refusal as it is sent."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": str(error),
    }
    response = Response(json.dumps(document) + "\n", status=error.status, content_type=MEDIA_TYPE)
    response.headers.update(error.headers)
    return response


def of_http(error: HTTPException) -> ProblemError:
    """Return a refusal of Flask's as one of ours."""
    status = error.code or 500
    code = CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "-"))
    headers = {}
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        headers["Allow"] = ", ".join(sorted(allowed))
    return ProblemError(status, code, DETAILS.get(status) or error.description or "", headers)

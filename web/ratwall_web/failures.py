"""What a person sees when a page cannot be shown: what happened and what to do, never a trace.

The API gets the same as `problem+json`.
"""

import sys
import traceback

from flask import Flask, Response, g, make_response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

from ratwall.errors import RatwallError
from ratwall_web.api.gate import is_for_programs
from ratwall_web.api.problem import ProblemError, answer, of_http
from ratwall_web.language import N_, _

TITLES = {
    400: N_("That did not make sense"),
    403: N_("Refused"),
    404: N_("There is no such page"),
    405: N_("That is not possible here"),
    413: N_("That was too much"),
    500: N_("Something went wrong here"),
    503: N_("Not at this moment"),
}


def install(app: Flask) -> None:
    """Answer every failure with a page of our own."""
    app.register_error_handler(ProblemError, show_problem)
    app.register_error_handler(HTTPException, show_http)
    app.register_error_handler(RatwallError, show_known)
    app.register_error_handler(Exception, show_unknown)


def show_problem(error: ProblemError) -> Response:
    """Show a refusal of the API's."""
    return answer(error)


def show_http(error: HTTPException) -> Response:
    """Show a refusal of our own or of Flask's."""
    if is_for_programs(request.path):
        return answer(of_http(error))
    code = error.code or 500
    if code == 404:
        text = _("It may have been removed by the retention rules, or the address was mistyped.")
    else:
        text = error.description or ""
    return _show(code, text)


def show_known(error: RatwallError) -> Response:
    """Show an error whose text was written for people."""
    if is_for_programs(request.path):
        return answer(ProblemError(503, "not-now", str(error)))
    return _show(503, str(error))


def show_unknown(error: Exception) -> Response:
    """Keep the trace for the log, and show that it is there."""
    print(f"ratwall-web: {request.method} {request.path} failed", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)
    if is_for_programs(request.path):
        return answer(ProblemError(500, "failed", "This could not be answered; see the box's log."))
    return _show(
        InternalServerError.code,
        _(
            "The page could not be made. Protection is not affected: it runs apart from this page. "
            "The reason is in the box's log."
        ),
    )


def _show(code: int, text: str) -> Response:
    if request.headers.get("HX-Request"):
        return make_response(_(text), code, {"Content-Type": "text/plain; charset=utf-8"})
    title = _(TITLES.get(code, N_("This page cannot be shown")))
    g.setdefault("session", None)
    return make_response(render_template("failure.html", title=title, text=text), code)

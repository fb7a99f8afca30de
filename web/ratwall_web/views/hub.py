"""The settings: one page from which all others about the box are reached, and the language."""

from flask import Blueprint, abort, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web import guard, language, menu
from ratwall_web.cookies import LANGUAGE_COOKIE, LANGUAGE_SECONDS, set_cookie
from ratwall_web.own_path import own_path

blueprint = Blueprint("hub", __name__)


@blueprint.get("/settings")
def index() -> str:
    """Show what can be set, in groups."""
    return render_template("hub/index.html", sections=menu.settings())


@blueprint.post("/language")
@guard.public
def speak() -> BaseResponse:
    """Remember which language this browser's reader wants, and go back to the page shown."""
    chosen = request.form.get("language")
    if chosen not in language.LANGUAGES:
        abort(404)
    response = redirect(own_path(request.form.get("next")), 303)
    set_cookie(response, LANGUAGE_COOKIE, chosen, LANGUAGE_SECONDS)
    return response

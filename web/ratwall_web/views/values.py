"""The settings of the box: every one with its meaning, checked while it is typed, kept as a whole.

The page only asks. What the file says comes from the controller, and the controller has a change
kept; what it refuses is shown with all that was typed. Where a change could weaken the box or send
something elsewhere the password is asked for again.
"""

from typing import Any

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ratwall.settings.catalogue import without_private
from ratwall_web import guard, settings_form
from ratwall_web import settings_words as words
from ratwall_web.control import RefusedError
from ratwall_web.guard import current_session
from ratwall_web.language import _
from ratwall_web.services import services

UNPROCESSABLE = 422

blueprint = Blueprint("values", __name__, url_prefix="/settings/values")


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """List the sections."""
    file, problem = _file()
    return render_template(
        "values/index.html",
        sections=settings_form.section_names(),
        words=words.SECTIONS,
        file=file,
        problem=problem,
        waiting=_titles(file),
    )


@blueprint.get("/<section>")
def show(section: str) -> ResponseReturnValue:
    """Show the settings of a section."""
    _known(section)
    file, problem = _file()
    return _page(section, file, problem=problem)


@blueprint.post("/<section>/check")
def check(section: str) -> ResponseReturnValue:
    """Say what is wrong with what was typed into one field, nothing if it is fine."""
    _known(section)
    name = request.args.get("field", "")
    file, problem = _file()
    if file is None:
        return render_template("values/verdict.html", problem=problem)
    problems = settings_form.read(section, file["document"], request.form).problems
    return render_template("values/verdict.html", problem=problems.get(name) or problems.get(""))


@blueprint.post("/<section>")
@guard.shows_form_again
def save(section: str) -> ResponseReturnValue:
    """Have the section kept as it was filled in."""
    _known(section)
    file, problem = _file()
    if g.get("form_expired"):
        problem = _(guard.FORM_EXPIRED)
    if file is None or problem is not None:
        return make_response(_page(section, file, request.form, problem=problem), UNPROCESSABLE)
    asked = settings_form.read(section, file["document"], request.form)
    if asked.problems:
        return make_response(
            _page(section, file, request.form, asked.problems, asked.problems.get("")),
            UNPROCESSABLE,
        )
    if asked.guarded and (question := guard.ask_again()) is not None:
        return question
    try:
        answer = services().control.change(
            "settings_set",
            changes=asked.changes,
            secrets=asked.secrets,
            digest=request.form.get("digest"),
            dry=False,
        )
    except RefusedError as error:
        return make_response(_page(section, file, request.form, problem=str(error)), error.status)
    current_session().notify("good", _told(answer))
    return redirect(url_for("values.show", section=section), 303)


def _told(answer: dict[str, Any]) -> str:
    if not answer["changed"]:
        return _("Nothing was different, so nothing was changed.")
    if answer["waiting"]:
        return _("Saved. Some of it holds only after the box was started again.")
    return _("Saved, and in force.")


def _known(section: str) -> None:
    if section not in settings_form.section_names():
        abort(404)


def _file() -> tuple[dict[str, Any] | None, str | None]:
    """Return what the settings file says, or why that is not known."""
    try:
        file = services().control.change("settings")
    except RefusedError as error:
        return None, str(error)
    if not guard.may_change():
        file["document"] = without_private(file["document"])
    return file, file["problem"]


def _titles(file: dict[str, Any] | None) -> list[str]:
    """Return the settings that wait for a restart, by their titles."""
    names = [] if file is None else file["waiting"]
    return [_(words.SETTINGS[name][0]) for name in names if name in words.SETTINGS]


def _page(
    section: str,
    file: dict[str, Any] | None,
    form: Any = None,
    problems: dict[str, str] | None = None,
    problem: str | None = None,
) -> str:
    document = {} if file is None else file["document"]
    return render_template(
        "values/section.html",
        section=section,
        title=_(words.SECTIONS[section][0]),
        sentence=_(words.SECTIONS[section][1]),
        fields=settings_form.fields(section, document, form, problems),
        file=file,
        digest=(form or {}).get("digest") or (file or {}).get("digest", ""),
        problem=problem,
        problems=problems or {},
        waiting=_titles(file),
    )

"""The admin page: an unprivileged process that shows the ledger and asks the controller.

It never writes the ledger and never touches the kernel: it reads through `ratwall.ledger.queries`
and sends every change to the controller's socket. `create_app` makes the Flask application, one
blueprint per concern, and the API's; `python -m ratwall_web` serves it over HTTPS.
"""

import time
from collections.abc import Callable

from flask import Flask
from jinja2 import StrictUndefined

from ratwall_web import failures, filters, guard, language, menu
from ratwall_web.api import routes
from ratwall_web.config import Config
from ratwall_web.numbers import RowNumber
from ratwall_web.records import now_us
from ratwall_web.services import EXTENSION, make_services
from ratwall_web.views import (
    account,
    allows,
    assets,
    audit,
    backup,
    blocks,
    certificate,
    confirm,
    devices,
    entrance,
    first_run,
    flows,
    hub,
    incidents,
    lists,
    messages,
    overview,
    power,
    responses,
    restoring,
    rules,
    selftest,
    servers,
    support,
    tokens,
    updates,
    users,
    values,
)

CONCERNS = (
    account,
    allows,
    assets,
    audit,
    backup,
    blocks,
    certificate,
    confirm,
    devices,
    entrance,
    first_run,
    flows,
    hub,
    incidents,
    lists,
    messages,
    overview,
    power,
    responses,
    restoring,
    rules,
    selftest,
    servers,
    support,
    tokens,
    users,
    values,
    updates,
)
# A form here has fewer than a dozen fields.
FORM_PARTS = 32


def create_app(
    config: Config,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], int] = now_us,
) -> Flask:
    """Make the application for the box whose state lies in `config.state_dir`.

    `clock` is seconds that only ever grow, `now` is UTC microseconds.
    """
    app = Flask(__name__, static_folder=None)  # the assets blueprint serves them, compressed
    app.config.update(MAX_CONTENT_LENGTH=config.body_limit, MAX_FORM_PARTS=FORM_PARTS)
    app.url_map.converters["int"] = RowNumber
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.extensions[EXTENSION] = make_services(config, clock, now)
    filters.install(app)
    language.install(app)
    app.jinja_env.globals["menu"] = menu
    guard.install(app)
    failures.install(app)
    for concern in CONCERNS:
        app.register_blueprint(concern.blueprint)
    routes.install(app)
    return app

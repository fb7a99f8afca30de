"""Puts the parts of the API together."""

from flask import Flask

from ratwall_web.api import acting, description, metering, reading


def install(app: Flask) -> None:
    """Add the routes; `guard` lets nobody in here without a token."""
    for part in (reading, acting, metering, description):
        app.register_blueprint(part.blueprint)

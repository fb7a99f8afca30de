"""Puts the parts of the API together."""

from flask import Flask

from ratwall_web.api import (
    acting,
    description,
    health,
    knowledge,
    messages,
    metering,
    people,
    reading,
    selftest,
    settings,
    upkeep,
)

READING = (reading, health, people, selftest, metering)
ACTING = (acting, knowledge, settings, messages, upkeep)


def install(app: Flask) -> None:
    """Add the routes; `guard` lets nobody in here without a token."""
    for part in (*READING, *ACTING, description):
        app.register_blueprint(part.blueprint)

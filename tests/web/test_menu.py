"""The main navigation and the settings page show the pages that there are, and where one is."""

from flask import Flask, request

from ratwall_web import create_app, menu
from ratwall_web.config import Config


def shown(app: Flask, path: str) -> tuple[list[str], bool]:
    with app.test_request_context(path):
        assert request.endpoint
        return [section.label for section in menu.main() if section.is_open], menu.in_settings()


def test_each_page_knows_its_place(config: Config) -> None:
    app = create_app(config)
    assert shown(app, "/") == (["Overview"], False)
    assert shown(app, "/incidents/1") == (["Incidents"], False)
    assert shown(app, "/connections/1/block") == (["Connections"], False)
    assert shown(app, "/lists/") == (["Protection"], False)
    assert shown(app, "/settings") == ([], True)
    assert shown(app, "/tokens/") == ([], True)


def test_what_is_not_there_is_not_shown(config: Config) -> None:
    app = create_app(config)
    bare = Flask("ratwall_web")
    bare.view_functions = {"audit.index": app.view_functions["audit.index"]}
    with bare.app_context():
        assert menu.main() == ()
        (section,) = menu.settings()
        assert [entry.label for entry in section.there] == ["Audit trail"]


def test_the_main_navigation_fits_a_phone() -> None:
    assert len(menu.MAIN) <= 5  # and the settings: two lines of three at 360 pixels

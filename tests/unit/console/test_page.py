"""What stands on the box's screen, for each state that a person may find it in."""

from hypothesis import given
from hypothesis import strategies as st

from ratwall.console.__main__ import CLEAR, draw, is_shown_elsewhere
from ratwall.console.page import STATES, WIDTH, Facts, render

FINGERPRINT = "SHA256:" + ":".join(["AB"] * 32)


def test_a_new_box_says_where_its_page_is_and_how_it_is_set_up() -> None:
    page = "\n".join(
        render(
            Facts(
                "ratwall",
                "1.0",
                ("192.0.2.7", "2001:db8::7"),
                "protecting",
                None,
                FINGERPRINT,
                "12345678",
            )
        )
    )
    assert "Protecting" in page
    assert "https://192.0.2.7" in page and "https://[2001:db8::7]" in page
    assert "https://ratwall.local" in page
    assert "1234-5678" in page
    assert FINGERPRINT in page.replace("\n", "").replace(" ", "")


def test_a_seeded_box_says_whose_it_is() -> None:
    assert "Huber bakery" in "\n".join(render(Facts("ratwall", "1.0", site="Huber bakery")))


def test_before_anything_runs_it_does_not_claim_protection() -> None:
    page = "\n".join(render(Facts("ratwall", "1.0")))
    assert "uninspected" in page and "no address yet" in page
    assert "Protecting" not in page and "Certificate" not in page and "Set-up" not in page


def test_bad_settings_are_told_in_front_of_the_box() -> None:
    problem = "/etc/ratwall/settings.toml: [detection] watch: expected 1 to 100, found 900"
    page = " ".join(render(Facts("ratwall", "1.0", problem=problem)))
    assert "found 900" in page


def test_every_state_of_the_controller_has_words() -> None:
    for state, words in STATES.items():
        assert words in "\n".join(render(Facts("ratwall", "1.0", state=state)))


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from([None, FINGERPRINT]))
def test_no_text_breaks_the_page_or_reaches_the_terminal_as_an_order(
    reason: str, problem: str, fingerprint: str | None
) -> None:
    facts = Facts("ratwall", "1", reason=reason, problem=problem, fingerprint=fingerprint)
    for line in render(facts):
        assert len(line) <= WIDTH
        assert line.isprintable()


def test_a_screen_is_cleared_and_a_line_is_not() -> None:
    assert draw(["a", "b"], screen=True) == f"{CLEAR}a\r\nb\r\n"
    assert draw(["a", "b"], screen=False) == "\r\na\r\nb\r\n"


def test_the_console_device_has_a_page_only_where_it_is_no_screen() -> None:
    assert is_shown_elsewhere("console", "ttyS0 tty0\n")
    assert not is_shown_elsewhere("console", "tty0 ttyS0\n")
    assert not is_shown_elsewhere("tty1", "tty0\n")
    assert is_shown_elsewhere("console", "")

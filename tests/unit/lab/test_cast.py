"""Where nobody cuts, the whole cast can be spoken to, and the demo says that this is wrong."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ratwall_lab.cast import Role, Stage, make_roles
from ratwall_lab.certificates import Notary
from ratwall_lab.demo import session_before_ratwall
from ratwall_lab.office import Outcome, talk
from ratwall_lab.topology import Lab


@pytest.fixture(scope="module")
def roles() -> tuple[Role, ...]:
    return make_roles(Notary())


@pytest.mark.root
def test_without_ratwall_everything_passes_and_rats_are_marked(roles: tuple[Role, ...]) -> None:
    with Lab() as lab, Stage(lab, roles) as stage:
        with ThreadPoolExecutor() as devices:  # each in its own thread, each in the office
            told = devices.map(lambda role: talk(lab, lab.anna, role, 6), stage.roles)
        outcomes = dict(zip((role.name for role in roles), told, strict=True))
        session = session_before_ratwall(lab, stage.role("quasar"))
        resumed = talk(lab, lab.anna, stage.role("quasar"), session=session)
        visit = stage.role("quasar").servers[0].visits[-1]
    assert {one.fate for one in outcomes.values()} == {"passed"}
    for role in roles:
        assert outcomes[role.name].expected is not role.hostile
    assert visit.resumed, "the session from before hides the certificate"
    assert resumed.fate == "passed"


def test_every_role_has_a_place_of_its_own(roles: tuple[Role, ...]) -> None:
    assert len({role.index for role in roles}) == len(roles)
    assert len({role.name for role in roles}) == len(roles)


def test_an_outcome_is_one_line_and_a_surprise_is_marked() -> None:
    good = Outcome("cut", "anna", "AsyncRAT look-alike", "2001:db8::1", 6606, "reset", True)
    bad = Outcome("passed", "ben", "DcRat look-alike", "203.0.113.1", 8848, "712 bytes", False)
    assert "[2001:db8::1]:6606" in good.line() and "\n" not in good.line()
    assert bad.line().endswith("<-- NOT AS IT SHOULD BE")

"""Who listens to what: the parts of the controller put together, in the order in which they hear.

One place for it, so that a simulation plays the same parts as a box. It opens nothing: the kernel's
sides are handed in.
"""

from collections.abc import Callable, Sequence

from ratwall.controller.beacons import Beacons
from ratwall.controller.contacts import Contacts
from ratwall.controller.hearing import Hearing
from ratwall.controller.lookups import Lookups, start_child
from ratwall.controller.loops import Loops
from ratwall.controller.modelling import Models
from ratwall.controller.naming import Copies as AnswerCopies
from ratwall.controller.naming import Naming
from ratwall.controller.observation import Classes, Copies, Observation
from ratwall.controller.packs import Packs
from ratwall.controller.policies import RelayWatch
from ratwall.controller.rhythms import Rhythms
from ratwall.controller.service import Service
from ratwall.kernel.conntrack import FlowEvent
from ratwall.loops.attempts import Surroundings


def wire(
    service: Service,
    *,
    copies: Copies,
    answers: AnswerCopies,
    classes: Classes,
    table: Callable[[], list[FlowEvent]],
    packs: Packs | None = None,
    lookup_options: Sequence[str] = (),
) -> Naming:
    """Give a service all that listens; call before its `start`. Return who knows the names.

    `copies` are of what observed clients say, `answers` of DNS; `table` dumps conntrack. `packs`
    are those shipped unless others are given; `lookup_options` tell a look-up where those are.
    """
    packs = service.packs = Packs(None, ()) if packs is None else packs
    found = service.findings.take
    observation = service.observation = Observation(
        service.settings.kernel.observed_flows,
        copies,
        classes,
        table,
        service.knows,
        service.remembers,
        service.clock,
    )
    rhythms = observation.rhythms = Rhythms(service.rarity, found)
    observation.paused = service.responses.paused
    naming = service.naming = Naming(answers, service.clock)

    def named(server: str) -> bool:
        return bool(naming.of(server))

    def around(server: str) -> Surroundings:
        known = service.rarity(server)
        return Surroundings(devices=None if known is None else known[0], named=named(server))

    contacts = service.contacts = Contacts(service.neighbours.mac_of, naming.of, service.clock)
    loops = Loops(around, lambda: packs.ports, found, service.clock, naming.of)
    models = service.models = Models(
        packs.groups,
        service.rarity,
        named,
        service.responses.watches,
        contacts.usual_hour,
        found,
        service.clock,
    )
    service.findings.heard = models.take_finding
    contacts.moved += [loops.move, models.move]
    beacons = Beacons()
    contacts.written.append(beacons.take_contact)
    for listener in (
        contacts,
        beacons,
        loops,
        naming,
        service.ladder,
        observation,
        Hearing(observation, rhythms),
        Lookups(
            lambda: (service.effective(), service.enforce),
            service.rarity,
            found,
            lambda message: service.push(message),
            service.clock,
            lambda server, port, name: start_child(server, port, name, lookup_options),
        ),
        models,
        RelayWatch(naming.of, lambda: service.settings.policy, found, service.clock),
    ):
        service.add(listener)
    return naming

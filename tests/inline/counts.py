"""What the kernel itself has counted: of its queues, and of what the rules let pass or drop."""

import re
from dataclasses import dataclass

from ratwall_lab.topology import Lab

QUEUES = "/proc/net/netfilter/nfnetlink_queue"


@dataclass(frozen=True)
class Queue:
    """A line of the kernel's list of queues that have a process."""

    waiting: int  # packets that nobody has looked at yet
    dropped: int  # for want of room, or of a process that takes them
    handed: int  # so far


def queues(lab: Lab) -> dict[int, Queue]:
    """The queues of the box by their number."""
    rows = [line.split() for line in lab.box.run(["cat", QUEUES]).stdout.splitlines()]
    # Number, peer, waiting, copy mode, copy range, dropped, lost to the process, last packet's id.
    return {int(row[0]): Queue(int(row[2]), int(row[5]) + int(row[6]), int(row[7])) for row in rows}


def packets_by_queue(lab: Lab) -> dict[int, int]:
    """How many packets the kernel has handed to each queue so far."""
    return {number: queue.handed for number, queue in queues(lab).items()}


def counter(lab: Lab, name: str, table: str = "ratwall") -> int:
    """The packets that one of a table's counters has seen."""
    text = lab.box.run(["nft", "list", "counter", "inet", table, name]).stdout
    (packets,) = re.findall(r"packets (\d+)", text)
    return int(packets)


def uninspected(lab: Lab) -> int:
    """Packets that passed unread."""
    return counter(lab, "uninspected")


def dropped(lab: Lab) -> int:
    """Packets that were neither looked at nor passed.

    The queue drops a second packet of a connection whose first still waits in it; the rules what a
    cut connection says while there is no room for it in the queue.
    """
    return sum(queue.dropped for queue in queues(lab).values()) + counter(lab, "withheld")

"""What the doctor finds about the links: from what the kernel has counted since the start."""

from collections.abc import Iterator

from ratwall.doctor.checks import Finding
from ratwall.kernel import links_report
from ratwall.kernel.sets import Sets


def links() -> Iterator[Finding]:
    """Say what passes that the rules do not see, or only half; nothing while Ratwall is away."""
    for found in links_report.findings(Sets().counters()):
        yield Finding(found.id, found.problem, found.text)

"""English sentences from elsewhere, said again in the language of the page.

The controller, the ledger and the signature packs speak English: headlines, evidence, refusals. A
sentence of theirs that the catalogue has is translated whole. What stays unknown is shown as it
came. Never turns anything into markup: what comes back is escaped like any text.
"""

from ratwall_web.language import _


def told(sentence: str | None) -> str | None:
    """Return the sentence in the language of this request, as it came if it is not known."""
    return _(sentence) if sentence else sentence

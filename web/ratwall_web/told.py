"""English sentences from elsewhere, said again in the language of the page.

The controller, the ledger and the signature packs speak English, and what they said once stays as
it was said. A sentence that one of the patterns in `sentences` fits is taken apart, and put
together again from the pattern's translation; what none fits is shown as it came. Never turns
anything into markup: what comes back is text, and escaped like any.
"""

import re
from functools import lru_cache

from ratwall_web import sentences
from ratwall_web.language import ENGLISH, _, decimal, language

PLACE = re.compile(r"%\((\w+)\)s")
# No sentence of ours is longer; a longer one is somebody's attack on the patterns.
SENTENCE_MOST = 700
# Where one sentence ends and the next begins, and how many a text of ours has at most.
SENTENCE_END = re.compile(r"(?<=[.]) (?=[A-Z])")
PARTS_MOST = 8
# Sentences that were taken apart and are asked for again: those of a few pages full of incidents.
REMEMBERED = 2048
# Places that hold words and not only names and numbers.
WORDED = frozenset({"called", "family", "length", "span", "what", "when"})
# Places that hold a number and nothing else.
NUMBERS = frozenset(
    {"beats", "days", "devices", "hours", "number", "port", "score", "seconds", "usual"}
)


def told(sentence: str | None) -> str | None:
    """Return the sentence in the language of this request, as it came if it is not known."""
    if not sentence or language() == ENGLISH or len(sentence) > SENTENCE_MOST:
        return sentence
    return " ".join(map(_said, _parts(sentence)))


def _said(sentence: str) -> str:
    message, values = _taken_apart(sentence)
    if not values:
        return _(message)
    return _(message, **{name: _word(name, value) for name, value in values})


def _word(name: str, value: str) -> str:
    if name in WORDED:
        return told(value) or value
    return decimal(float(value)) if name == "seconds" else value


@lru_cache(REMEMBERED)
def _parts(sentence: str) -> tuple[str, ...]:
    """Return the known sentences that make up a text, as the reason of a block has several.

    A text of which any part is not known is left whole: half of it in German helps nobody.
    """
    rest = tuple(SENTENCE_END.split(sentence)) if len(sentence) <= SENTENCE_MOST else ()
    if len(rest) > PARTS_MOST:
        return (sentence,)
    found = []
    while rest:
        texts = (" ".join(rest[:count]) for count in range(len(rest), 0, -1))
        text = next((text for text in texts if is_known(text)), None)
        if text is None:
            return (sentence,)
        found.append(text)
        rest = rest[len(SENTENCE_END.split(text)) :]
    return tuple(found)


def is_known(sentence: str) -> bool:
    """Tell whether one of the patterns fits a sentence."""
    return sentence in sentences.ALL or bool(_taken_apart(sentence)[1])


@lru_cache(REMEMBERED)
def _taken_apart(sentence: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the message that a sentence was made of, and what came into its places."""
    for message, pattern in _PATTERNS:
        found = pattern.fullmatch(sentence)
        if found is not None:
            return message, tuple(found.groupdict().items())
    return sentence, ()


def _pattern(message: str) -> re.Pattern[str]:
    """Return what recognises the sentences that are made of a message."""
    parts = PLACE.split(message)  # text, name, text, name, … text
    texts = (re.escape(part) for part in parts[::2])
    names = (f"(?P<{name}>{_holds(name)})" for name in parts[1::2])
    return re.compile("".join(text + name for text, name in zip(texts, (*names, ""), strict=True)))


def _holds(name: str) -> str:
    return r"[0-9]+(?:\.[0-9]+)?" if name in NUMBERS else ".+?"


_PATTERNS = tuple(
    (message, _pattern(message)) for message in sentences.ALL if PLACE.search(message)
)

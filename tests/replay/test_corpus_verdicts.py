"""The verdicts on captures that nobody here made: every RAT stopped, nobody else alarmed.

Labels: `block` is AsyncRAT's family, `related` is made by the same routine and blocked too,
`neutral` is other malware and counts neither way, `allow` must never be at alert or above.
"""

from collections import Counter

from replay.conftest import Corpus, StreamName

HARMFUL = ("block", "related")
ALARMING = ("alert", "block")


def harmful(corpus: Corpus) -> list[StreamName]:
    return [name for name, label in corpus.labels.items() if label["expect"] in HARMFUL]


def test_the_labels_are_what_this_test_was_written_for(corpus: Corpus) -> None:
    counts = Counter(label["expect"] for label in corpus.labels.values())
    assert counts["block"] + counts["related"] == 78
    assert counts["allow"] > 1000


def test_every_rat_that_shows_its_certificate_or_has_shown_it_is_blocked(corpus: Corpus) -> None:
    shown: set[tuple[str, str]] = set()  # capture and server
    due = 0
    for name in sorted(harmful(corpus), key=lambda one: float(corpus.truth[one]["time"])):
        place = name[0], corpus.labels[name]["server"]
        if corpus.labels[name]["cert_seen"]:
            shown.add(place)
        if place in shown:
            due += 1
            assert corpus.matched[name]["verdict"] == "block", name
    assert due == 78


def test_the_families_are_named(corpus: Corpus) -> None:
    families = {corpus.matched[name]["family"] for name in harmful(corpus)}
    assert families == {"AsyncRAT", "Quasar"}


def test_no_allowed_stream_is_at_alert_or_above(corpus: Corpus) -> None:
    alarmed = [
        name
        for name, label in corpus.labels.items()
        if label["expect"] == "allow"
        and name in corpus.matched
        and corpus.matched[name]["verdict"] in ALARMING
    ]
    assert alarmed == []


def test_nor_is_a_flow_that_no_label_speaks_of(corpus: Corpus) -> None:
    labelled = {id(record) for record in corpus.matched.values()}
    for file, records in corpus.records.items():
        for record in records:
            if id(record) not in labelled:
                assert record["verdict"] not in ALARMING, (file, record["server"])


def test_a_verdict_says_why(corpus: Corpus) -> None:
    for records in corpus.records.values():
        for record in records:
            if record["verdict"] != "clean":
                assert record["evidence"]
                assert record["score"] > 0

"""A run with lifecycle events is compared offline with the events as they were fed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from cases_tables import csv_file, table
from replayed import decided
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.cli.options.lifecycle import events_at
from scoring.core.features.catalogue import load_catalogue
from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.errors import BadArtifact
from scoring.history.archive import Archive
from scoring.history.rows import event_row
from scoring.replay.collect import Collector
from scoring.replay.offline import RunTerms, agreement
from scoring.tables.events import event_mapping, events_from

FEATURES = """
name: declines
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: 'paid_{window}', entity: card, statistic: count, windows: [1d],
     reason_group: BUSY, description: payments of the card}
  - {name: 'declined_{window}', entity: card, statistic: count, windows: [1d],
     filter: issuer_outcome == 'DECLINED', reason_group: BUSY, description: declines}
"""
MAPPING = """
columns: {id: id, tenant: tenant, occurred_at: at, amount: amount, currency: currency,
  card: card}
"""
HEADER = "tenant,id,at,amount,currency,card"
EVENTS = "tenant,transaction_id,event_id,kind,occurred_at\n"
CATALOGUE = load_catalogue(FEATURES, name="declines.yaml")
LATENESS_MS = 3_600_000


class Seeing:
    """A model that keeps what it was shown."""

    version, deeper = "m1", None

    def predict(self, matrix):
        self.matrix = matrix
        return SimpleNamespace(probability=matrix[:, 0] * 0 + 0.5)


def payment(tenant, id_, clock, card="c1"):
    return f"{tenant},{id_},2024-03-01T{clock}Z,10.00,EUR,{card}"


def events_of(folder, *lines):
    file = folder / "events.csv"
    file.write_text(EVENTS + "".join(f"{line}\n" for line in lines))
    return events_from(file, event_mapping(None))


def declined(tenant, id_, clock):
    return f"{tenant},{id_},e1,ISSUER_DECLINED,2024-03-01T{clock}Z"


def compared(folder, rows, answers, **terms):
    """What was computed, and how it agrees with (processed_seq, paid, declined) by id;
    who has no answer was refused."""
    read, model = table(csv_file(folder, *rows, header=HEADER), MAPPING), Seeing()
    collector = Collector(folder / "run.parquet")
    played = [row for batch in read.batches() for row in batch]
    for row in played:
        id_ = row.transaction.id
        if id_ in answers:
            seq, *values = answers[id_]
            decision = decided(id_, "APPROVE", [])
            decision.core.features.extend(values)
            decision.trace.processed_seq = seq
            collector.expect([row])
            collector.take(decision)
    collector.close()
    found = agreement(
        read,
        folder / "run.parquet",
        catalogue=CATALOGUE,
        model=model,
        terms=RunTerms(label_delay_ms=None, **terms),
    )
    return model.matrix.tolist(), found


FIRST_MS = 1_709_287_200_000
ROWS = [payment("default", f"p{i}", f"10:0{i}:00") for i in range(3)]


def test_a_replay_whose_definitions_count_events_needs_to_be_told_of_them(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features.yaml").write_text(FEATURES)
    monkeypatch.setenv("SCORING_FEATURES_FILE", str(tmp_path / "features.yaml"))
    (tmp_path / "policy.yaml").write_text(shipped_text(CATALOGUE))
    monkeypatch.setenv("SCORING_POLICY_FILE", str(tmp_path / "policy.yaml"))
    csv_file(tmp_path, *ROWS, header=HEADER)
    (tmp_path / "m.yaml").write_text(MAPPING)
    words = ["replay", "payments.csv", "--mapping", "m.yaml"]
    done = CliRunner().invoke(assemble(), words)
    assert isinstance(done.exception, BadArtifact)
    assert "count lifecycle events: give a table of them" in str(done.exception)


def test_a_comparison_needs_to_be_told_too_and_a_table_without_rows_tells(tmp_path):
    answers = {f"p{i}": (0, i + 1, 0) for i in range(3)}
    with pytest.raises(BadArtifact, match="--events"):
        compared(tmp_path, ROWS, answers)
    _, found = compared(tmp_path, ROWS, answers, events=events_of(tmp_path))
    assert (found.rows, found.unexplained) == (3, 0)


@pytest.mark.parametrize("own", ["eu", ""])
def test_an_event_is_known_with_its_own_payment_not_with_its_namesake(tmp_path, own):
    """The issuer's clock is behind, and another tenant has the payment's id."""
    rows = [payment("eu", "order-1", "10:00:10"), payment("eu", "order-2", "10:00:09")]
    other = [payment("us", "order-1", "09:00:00")] if own else []
    told = events_of(tmp_path, declined(own, "order-1", "10:00:08"))
    seen, found = compared(
        tmp_path, [*other, *rows], {"order-2": (0, 1, 0)}, events=told
    )
    assert seen[-2:] == [[1, 0], [2, 1]]
    assert found.unexplained == 0


def test_an_archive_tells_of_events_as_a_table_does(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.prepare()
    event = LifecycleEvent(
        "default", "p0", "e1", 2, FIRST_MS + 1_000, known_at_ms=FIRST_MS + 1_000
    )
    later = replace(event, event_id="e2", known_at_ms=FIRST_MS + 90_000)
    elsewhere = replace(event, tenant="us", event_id="e3")
    told = [event, later, elsewhere, event]  # the first is recorded twice
    rows = [archived(n, one) for n, one in enumerate(told)]
    archive.take("events", 0, rows, (0, len(rows)))
    events = events_at(archive.directory, None)
    answers = {"p0": (0, 1, 0), "p1": (0, 2, 1), "p2": (0, 3, 2)}
    seen, found = compared(tmp_path, ROWS, answers, events=events)
    assert seen == [[1, 0], [2, 1], [3, 2]]
    assert found.unexplained == 0


def archived(offset, event):
    record = SimpleNamespace(timestamp=event.known_at_ms, partition=0, offset=offset)
    return event_row(record, lambda _: event)


def test_as_processed_what_happened_to_a_payment_counts_though_that_came_too_late(
    tmp_path,
):
    rows = [payment("default", "late", "08:00:00"), *ROWS]
    told = events_of(tmp_path, declined("default", "late", "08:00:01"))
    answers = {"p0": (1, 1, 1), "late": (2, 1, 0), "p1": (3, 2, 1), "p2": (4, 3, 1)}
    seen, found = compared(
        tmp_path, rows, answers, events=told, lateness_ms=LATENESS_MS
    )
    assert [declines for _, declines in seen] == [0, 1, 1, 1]
    assert [count for count, _ in seen[1:]] == [1, 2, 3]
    assert (found.labels_late, found.unexplained) == (0, 0)


def test_as_processed_only_what_events_tell_may_have_come_later(tmp_path):
    told = events_of(tmp_path, declined("default", "p0", "10:00:01"))
    answers = {"p0": (1, 1, 0), "p1": (2, 2, 0), "p2": (3, 4, 1)}
    _, found = compared(tmp_path, ROWS, answers, events=told, lateness_ms=LATENESS_MS)
    assert found.features_differing == {"paid_1d": 1, "declined_1d": 1}
    assert (found.labels_late, found.unexplained) == (1, 1)

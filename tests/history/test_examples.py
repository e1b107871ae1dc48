"""The next model comes from our own decisions by one command, `scoring train DIR`."""

import asyncio

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.core.features.catalogue import default_catalogue, load_catalogue
from scoring.errors import BadArtifact
from scoring.history.archive import Archive
from scoring.history.audit import Sample, audit
from scoring.history.examples import examples
from scoring.history.forget import forget, named_entity
from scoring.history.ledger import Ledger
from scoring.history.rows import DECISIONS, EVENTS, LABELS
from scoring.models.registry import ModelRegistry
from scoring.training.dataset import DAY_MS
from scoring.training.simulation.simulate import World, simulate
from scoring.training.train import dataset_of

WORLD = World(seed=5, days=12, customers=150, terminals=1_500)
DELAY_MS = 2 * DAY_MS
ORDINARY = ("--rounds", "5", "--depth", "2", "--label-delay-days", "2")
DECLINES = """
name: declines
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: amount, statistic: value, expression: amount, reason_group: AMOUNT,
     description: the amount}
  - {name: "card_declined_{window}", entity: card, statistic: count, windows: [1d],
     filter: "outcome == 'DECLINE'", reason_group: CARD,
     description: declined attempts of the card}
"""

ISSUER_DECLINES = """
name: declines
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: "card_paid_{window}", entity: card, statistic: count, windows: [30d],
     reason_group: CARD, description: payments of the card}
  - {name: "card_declined_{window}", entity: card, statistic: count, windows: [30d],
     filter: "issuer_outcome == 'DECLINED'", reason_group: CARD,
     description: payments of the card that its issuer declined}
"""


@pytest.fixture(scope="module")
def town():
    return simulate(WORLD)


def archived(directory, town, *, labelled=lambda _: True, late=lambda _: False):
    """An archive of a town's payments, all approved, and the labels of some."""
    archive = Archive(directory)
    archive.prepare()
    decisions, labels = [], []
    for n, row in enumerate(town.to_pylist()):
        own = {k: v for k, v in row.items() if k in DECISIONS.names}
        decisions.append(
            dict.fromkeys(DECISIONS.names)
            | {"tenant": "default", "attributes": {}, "door": "grpc"}
            | own
            | {
                "processed_seq": n + 1,
                "decided_at_ms": row["occurred_at_ms"],
                "received_at_ms": row["occurred_at_ms"],
                "outcome": "decline" if n % 10 == 0 else "approve",
                "provisional": False,
                "decision": b"",
                "log_partition": 0,
                "log_offset": n,
            }
        )
        if labelled(row):
            took_ms = 5 * DAY_MS if late(row) else DELAY_MS
            labels.append(
                {
                    "tenant": "default",
                    "transaction_id": row["id"],
                    "version": 1,
                    "verdict": "fraud" if row["fraud"] else "legitimate",
                    "fraud": row["fraud"],
                    "known_at_ms": row["occurred_at_ms"] + took_ms,
                    "source": "chargeback",
                    "transaction": None,
                    "received_at_ms": row["occurred_at_ms"] + took_ms,
                    "log_partition": 0,
                    "log_offset": len(labels),
                }
            )
    archive.take("decisions", 0, decisions, (0, len(decisions)))
    archive.take("labels", 0, labels, (0, len(labels)))
    return archive


def train(*words):
    done = CliRunner().invoke(assemble(), ["train", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def joined(archive, catalogue=None, **terms):
    usual = {"label_delay_ms": None, "legitimate_after_ms": None}
    catalogue = catalogue or default_catalogue()
    return examples(archive, catalogue, lateness_ms=DAY_MS, **usual | terms)


def test_an_archive_gives_the_model_that_its_payments_as_a_table_give(town, tmp_path):
    archived(tmp_path / "archive", town)
    pq.write_table(town, tmp_path / "town.parquet")
    train(str(tmp_path / "archive"), *ORDINARY, "--out", str(tmp_path / "a"))
    train(str(tmp_path / "town.parquet"), *ORDINARY, "--out", str(tmp_path / "b"))
    versions = [
        {m.version for m in ModelRegistry(tmp_path / name).versions()} for name in "ab"
    ]
    assert len(versions[0]) == 1
    assert versions[0] == versions[1]


def test_features_that_count_declines_are_trained_from_the_archive(town, tmp_path):
    archived(tmp_path / "archive", town)
    (tmp_path / "declines.yaml").write_text(DECLINES)
    features = ("--features", str(tmp_path / "declines.yaml"))
    out = ("--out", str(tmp_path / "models"))
    train(str(tmp_path / "archive"), *ORDINARY, *features, *out)
    assert len(ModelRegistry(tmp_path / "models").versions()) == 1


def test_payments_without_a_label_are_not_guessed_at(town, tmp_path):
    archive = archived(tmp_path / "a", town, labelled=lambda row: row["fraud"])
    frauds = sum(town["fraud"].to_pylist())
    with pytest.raises(BadArtifact, match="--legitimate-after-days"):
        joined(archive)
    found = joined(archive, legitimate_after_ms=3 * DAY_MS)
    assert found.labelled == frauds
    assert found.assumed > 0
    assert found.unlabelled > 0, "of the last three days nothing is known yet"
    assert found.labelled + found.assumed + found.unlabelled == found.rows
    assert found.label_delay_ms == 3 * DAY_MS
    assert found.table["fraud"].null_count == found.unlabelled


def test_the_delay_is_what_the_labels_took_or_leaves_out_what_took_longer(
    town, tmp_path
):
    archive = archived(tmp_path / "a", town, late=lambda row: row["fraud"])
    assert joined(archive).label_delay_ms == 5 * DAY_MS
    found = joined(archive, label_delay_ms=5 * DAY_MS)
    assert found.labelled_late == 0
    with pytest.raises(BadArtifact, match="no decision has a label that says fraud"):
        joined(archive, label_delay_ms=DELAY_MS)


def test_the_last_version_of_a_label_counts_and_a_withdrawn_one_is_none(town, tmp_path):
    archive = archived(tmp_path / "a", town)
    fraud = next(row for row in town.to_pylist() if row["fraud"])
    withdrawn = dict.fromkeys(LABELS.names) | {
        "tenant": "default",
        "transaction_id": fraud["id"],
        "version": 2,
        "verdict": "withdrawn",
        "known_at_ms": fraud["occurred_at_ms"] + DELAY_MS + 1,
        "log_partition": 1,
        "log_offset": 0,
    }
    archive.take("labels", 1, [withdrawn], (0, 1))
    found = joined(archive)
    assert found.unlabelled == 1
    truth = dict(zip(found.table["id"].to_pylist(), found.table["fraud"], strict=True))
    assert truth[fraud["id"]] == pa.scalar(None, pa.bool_())


def test_a_directory_without_decisions_is_refused(tmp_path):
    with pytest.raises(BadArtifact, match="no decisions are archived"):
        joined(Archive(tmp_path))


DAMAGES = {
    "fraud": pa.array(["yes"]),
    "known_at_ms": pa.array(["tomorrow"]),
    "occurred_at_ms": pa.array(["today"]),
    "id": pa.array([None], pa.string()),
}


def audited(archive):
    return audit(archive, default_catalogue(), lateness_ms=DAY_MS, sample=Sample(10))


def rebuilt(archive):
    return list(Ledger(archive, default_catalogue(), lateness_ms=DAY_MS).labels())


def forgotten(archive):
    """Without a store: nothing is erased before the archive is read."""
    card = named_entity("card:c1", "default", default_catalogue())
    return asyncio.run(forget(card, archive, None, default_catalogue()))


@pytest.mark.parametrize("column", [*DAMAGES, "", "columns", "end"])
def test_files_that_the_archive_did_not_write_are_refused(town, tmp_path, column):
    archive = archived(tmp_path / "a", town.slice(0, 500))
    kind = "labels" if column in {"fraud", "known_at_ms"} else "decisions"
    place = archive.files(kind)[0].with_name("p9-0-1.parquet")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    if column == "columns":
        pq.write_table(pa.table({"tenant": ["default"], "other": [1]}), place)
    elif column == "end":
        place.write_bytes(archive.files(kind)[0].read_bytes()[:-9])
    elif column:
        row = pq.read_table(archive.files(kind)[0]).slice(0, 1)
        own = row.set_column(row.column_names.index(column), column, DAMAGES[column])
        pq.write_table(own, place)
    else:
        place.write_bytes(b"no Parquet")
    before[place] = place.read_bytes()
    for command in (joined, audited, rebuilt, forgotten):
        with pytest.raises(BadArtifact, match="`scoring archive` did not write"):
            command(archive)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_record_that_stands_twice_is_left_out_and_counted(town, tmp_path):
    archive = archived(tmp_path / "a", town)
    rows = pq.read_table(archive.files("decisions")[0]).to_pylist()[:3]
    again = [row | {"log_offset": 10**6 + i} for i, row in enumerate(rows)]
    archive.take("decisions", 0, again, (10**6, 10**6 + 3))
    found = joined(archive)
    assert (found.rows, found.repeated) == (len(town) + 3, 3)
    assert {offset for _, offset, _ in found.left_out} == {10**6, 10**6 + 1, 10**6 + 2}
    assert found.rows == found.table.num_rows + len(found.left_out)


def test_what_happened_to_a_payment_that_came_too_late_is_learned_from(town, tmp_path):
    """The first payment of a card is processed last: it counts nowhere, its decline
    in all that the card paid since."""
    first, card = town.slice(0, 1), town["card"][0].as_py()
    archive = archived(tmp_path / "a", pa.concat_tables([town.slice(1), first]))
    at_ms = first["occurred_at_ms"][0].as_py()
    declined = dict.fromkeys(EVENTS.names) | {
        "tenant": "default",
        "transaction_id": first["id"][0].as_py(),
        "event_id": "e1",
        "kind": "issuer_declined",
        "occurred_at_ms": at_ms + 1,
        "known_at_ms": at_ms + 1,
        "received_at_ms": at_ms + 1,
        "log_partition": 0,
        "log_offset": 0,
    }
    archive.take("events", 0, [declined], (0, 1))
    catalogue = load_catalogue(ISSUER_DECLINES, name="declines.yaml")
    found = joined(archive, catalogue)
    assert (found.rows, found.too_late) == (len(town), 1)
    assert found.labelled == len(town) - 1
    dataset = dataset_of(
        found.table, catalogue, label_delay_ms=DELAY_MS, events=found.events
    )
    assert len(dataset.matrix) == len(town) - 1, "of itself nothing is learned"
    own = town["card"].to_pylist()[1:].count(card)
    paid, declines = dataset.matrix.T
    assert own > 3
    assert paid[declines == 1].tolist() == list(range(1, own + 1))
    without = joined(archive)
    assert (without.too_late, without.table.num_rows) == (1, len(town) - 1)

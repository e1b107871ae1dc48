"""A table of lifecycle events beside a table of payments."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifecycle_parts import LIFECYCLE
from streams import DAY_MS, HOUR_MS, Shape, transactions

from scoring.core.transaction.transaction import MAP_FIELDS, Transaction
from scoring.errors import BadArtifact
from scoring.tables.events import event_mapping, events_from
from scoring.training.train import dataset_of

MAPPING = """\
columns: {transaction_id: order, event_id: auth, kind: status, occurred_at: at}
kinds: {AUTHORISED: [ok], ISSUER_DECLINED: [do not honor, "51"]}
"""


@pytest.fixture
def mapping(tmp_path):
    file = tmp_path / "events.yaml"
    file.write_text(MAPPING)
    return event_mapping(file)


def test_columns_and_kinds_are_read_by_the_mapping(tmp_path, mapping):
    file = tmp_path / "events.csv"
    file.write_text(
        "order,auth,status,at,amount_minor\n"
        "t1,a1,OK,2026-03-01T12:00:00Z,\n"
        "t1,a2,Do Not Honor,2026-03-01T12:00:01Z,90\n"
        "t2,a3,refunded,2026-03-02T00:00:00Z,0\n"
    )
    found = events_from(file, mapping).to_pydict()
    assert found["kind"] == ["AUTHORISED", "ISSUER_DECLINED", "REFUNDED"]
    assert found["occurred_at_ms"][:2] == [1_772_366_400_000, 1_772_366_401_000]
    assert found["amount_minor"] == [None, 90, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("order,status,at\nt1,ok,1\n", "no column 'auth' for event_id"),
        ("order,auth,status,at\nt1,a,paid,1\n", "kind must be one of AUTHORISED"),
        ("order,auth,status,at\n,a,ok,1\n", "transaction_id is required; 1 rows"),
        ("order,auth,status,at,known_at\nt,a,ok,9,8\n", "known_at lies before"),
    ],
)
def test_what_is_no_event_is_refused_with_what_would_be_right(
    tmp_path, mapping, text, said
):
    file = tmp_path / "events.csv"
    file.write_text(text)
    with pytest.raises(BadArtifact, match=said):
        events_from(file, mapping)


def test_a_mapping_of_unknown_names_is_refused(tmp_path):
    file = tmp_path / "events.yaml"
    for text, said in (("columns: {id: x}", "'id'"), ("kinds: {PAID: x}", "'PAID'")):
        file.write_text(text)
        with pytest.raises(BadArtifact, match=said):
            event_mapping(file)


def test_a_model_learns_from_what_happened_to_earlier_payments(tmp_path):
    stream = transactions(random.Random(5), Shape(count=60, late=0, silence=0))
    fields = [f for f in Transaction.__slots__ if f not in MAP_FIELDS]
    columns = {f: [getattr(t, f) for t in stream] for f in fields}
    for name in ("latitude", "longitude"):
        columns[name] = pa.array(columns[name], pa.float64())
    table = pa.table(columns | {"fraud": [i % 5 == 0 for i in range(60)]})
    first = stream[0]
    pq.write_table(
        pa.table(
            {
                "transaction_id": [first.id],
                "event_id": ["e1"],
                "kind": ["refunded"],
                "occurred_at": [first.occurred_at_ms + HOUR_MS],
                "amount_minor": [70],
            }
        ),
        tmp_path / "events.parquet",
    )
    events = events_from(tmp_path / "events.parquet", event_mapping(None))
    found = dataset_of(table, LIFECYCLE, label_delay_ms=DAY_MS, events=events)
    refunds = found.matrix[:, found.names.index("customer_refunds_30d")]
    since = first.occurred_at_ms + HOUR_MS
    own = [t for t in stream if t.customer == first.customer]
    expected = sum(since <= t.occurred_at_ms < since + 30 * DAY_MS for t in own)
    assert expected > 3
    assert (np.nan_to_num(refunds) == 1).sum() == expected
    assert np.nanmax(refunds) == 1
    with pytest.raises(BadArtifact, match="--events"):
        dataset_of(table, LIFECYCLE, label_delay_ms=DAY_MS)

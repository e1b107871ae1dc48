"""What a call brings of a transaction, for catalogues of unusual shape."""

from scoring.core.features.catalogue import load_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.stores.redis.script_inputs import Inputs

CATALOGUE = load_catalogue(
    """\
name: bare
currency: {reference: EUR}
horizon: 90d
entities: {card: card, customer: customer}
features:
  - {name: since, entity: card, statistic: since_last,
     reason_group: ANY, description: any}
  - {name: count, entity: customer, statistic: count, windows: [1d],
     reason_group: ANY, description: any}
""",
    name="bare.yaml",
)


def test_an_entity_that_keeps_nothing_brings_nothing():
    t = Transaction("default", "t1", currency="EUR", card="c", customer="u")
    brought = Inputs(CATALOGUE).of(t, CATALOGUE.plans)
    assert [len(values) for values in brought] == [0, 8]

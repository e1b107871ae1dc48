"""What the client offers by name: whatever its callers need to say."""

from dataclasses import fields

from scoring import client
from scoring.core.transaction.transaction import FIELDS, Transaction


def test_every_enumeration_of_a_payment_is_offered():
    needed = {field.members for field in FIELDS if field.members}
    assert needed <= {getattr(client, name) for name in client.__all__}


def test_every_name_that_is_offered_is_there():
    assert all(hasattr(client, name) for name in client.__all__)


def test_a_payment_is_that_of_the_service_itself():
    assert client.Transaction is Transaction
    assert {field.name for field in FIELDS} == {f.name for f in fields(Transaction)}

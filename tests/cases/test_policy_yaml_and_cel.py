"""Policies as people write them: YAML's odd words, values that never occur."""

from __future__ import annotations

import pytest

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.errors import BadArtifact

SHIPPED = shipped_text()
SEGMENT = "- where: {channel: ECOMMERCE}\n"
ENTRIES = "entries: []\n  blocked_devices"
RULE = "when: features.card_payments_1h > limits.card_payments_1h\n"


def changed(old: str, new: str) -> Policy:
    assert old in SHIPPED
    text = SHIPPED.replace(old, new, 1)
    return load_policy(text, catalogue=default_catalogue(), name="mine.yaml")


@pytest.mark.parametrize("where", ["card_country: NO", "card_country: [SE, NO]"])
def test_norway_needs_no_quotes(where):
    segments = changed(SEGMENT, f"- where: {{{where}}}\n").file.thresholds.segments
    assert "NO" in segments[1].where.card_country


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("merchant_category: 7995", "put it in quotes"),
        ("merchant_category: 0742", "put it in quotes"),
        ('merchant_category: "742"', "'0742'"),
        ("currency: usd", "'USD'"),
        ("currency: XXY", "ISO 4217"),
        ("card_country: UK", "'GB'"),
        ("card_country: Germany", "'DE'"),
        ("merchant_country: de", "'DE'"),
        ("channel: ecommerce", "'ECOMMERCE'"),
    ],
)
def test_a_segment_of_a_value_that_no_payment_can_have_is_refused(where, remedy):
    with pytest.raises(BadArtifact, match=r"mine.yaml:\d+: ") as refused:
        changed(SEGMENT, f"- where: {{{where}}}\n")
    assert remedy in str(refused.value)


@pytest.mark.parametrize(
    ("token", "read"), [("1:30", "1:30"), ("1_000", "1_000"), ("no", "no"),
                        ("2024-01-05", "2024-01-05"), ('"tok_1 "', "tok_1 ")],
)  # fmt: skip
def test_a_token_is_the_text_as_it_is_written(token, read):
    listed = f"entries:\n      - {{token: {token}}}\n  blocked_devices"
    assert changed(ENTRIES, listed).file.lists["blocked_cards"].entries[0].token == read


@pytest.mark.parametrize("token", ["123456", "12e3"])
def test_a_token_that_yaml_reads_as_a_number_is_refused(token):
    with pytest.raises(BadArtifact, match=r"mine.yaml:\d+: .*put it in quotes"):
        changed(ENTRIES, f"entries:\n      - {{token: {token}}}\n  blocked_devices")


@pytest.mark.parametrize("expires", ["2026-12-31", "2026-12-31 10:00:00", "20261231"])
def test_an_end_without_its_zone_is_refused(expires):
    entry = f"{{token: a, expires: {expires}}}"
    with pytest.raises(BadArtifact, match=r"mine.yaml:\d+: .*expires"):
        changed(ENTRIES, f"entries:\n      - {entry}\n  blocked_devices")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("decline: 0.50}", "decline: 0.50, decline: 0.95}"),
        ("decline: 0.50}", "decline: 50}"),
        ("decline: 0.50}", 'decline: "0,50"}'),
        ("card_payments_1h: {default: 8}", "card_payments_1h: {default: off}"),
        ("card_payments_1h: {default: 8}", "card_payments_1h: {default: 1:30}"),
        ("  - id: card_velocity", "\t- id: card_velocity"),
    ],
)
def test_what_is_no_number_or_stands_twice_is_refused_with_its_line(old, new):
    with pytest.raises(BadArtifact, match=r"mine.yaml:\d+: "):
        changed(old, new)


@pytest.mark.parametrize(
    "when",
    [
        "transaction.amount_minor * 10000000000 > 5",
        "transaction.amount_minor > 99999999999999999999",
        'transaction.currency == "usd" && transaction.amount_minor > 5000',
        'transaction.channel == "ecommerce"',
        'transaction.card_country == "UK"',
        'transaction.merchant_category == "742"',
        'transaction.currency = "EUR"',
        'transaction.currency == "EUR" and score > 0.5',
        "transaction.currency == “EUR”",
        "size(transaction.amount) > 3",
        "score > 1.5",
        "transaction.attributes.risk > 5",
        "transaction.device == null",
    ],
)
def test_a_rule_that_can_never_hold_or_be_read_is_refused_where_it_is_wrong(when):
    with pytest.raises(BadArtifact, match=r"mine.yaml:61: .*card_velocity") as refused:
        changed(RULE, f"when: {when}\n")
    assert "^" in str(refused.value)


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing():
    version = changed(SEGMENT, SEGMENT).version
    for text in (SHIPPED.replace("\n", "\r\n"), "\ufeff" + SHIPPED):
        loaded = load_policy(text, catalogue=default_catalogue(), name="mine.yaml")
        assert loaded.version == version


def test_a_rule_that_is_off_needs_no_quotes():
    assert changed("mode: shadow", "mode: off").file.rules[-1].mode == "off"

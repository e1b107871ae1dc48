"""The SQL of the fields that are worked out of others, as `Transaction` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def _ip_network_sql(ip: str) -> str:
    """As `network_of` has it, of a canonical address."""
    left, right = (f"split_part({ip}, '::', {half})" for half in (1, 2))
    zeros = f"repeat('0:', 8 - {_groups(left)} - {_groups(right)})"
    full = f"concat({left}, CASE WHEN {left} <> '' THEN ':' END, {zeros}, {right})"
    first = rf"regexp_extract({full}, '^(?:[0-9a-f]+:){{3}}')"
    shortened = rf"regexp_replace({first}, '(^|:)(?:0:)+$', '\1')"
    return (
        f"CASE WHEN {ip} = '' THEN '' "
        f"WHEN NOT contains({ip}, ':') THEN regexp_replace({ip}, '[0-9]+$', '0/24') "
        f"WHEN {shortened} = '' THEN '::/48' ELSE {shortened} || ':/48' END"
    )


def _groups(part: str) -> str:
    """How many groups a part of an IPv6 address has."""
    colons = f"length({part}) - length(replace({part}, ':', ''))"
    return f"(CASE WHEN {part} = '' THEN 0 ELSE {colons} + 1 END)"


def _email_domain_sql(email: str) -> str:
    return (
        f"CASE WHEN contains({email}, '@') THEN split_part({email}, '@', -1) "
        "ELSE '' END"
    )


# This engine's part for each derived field, of the SQL of the field it comes from.
DERIVED_SQL: Mapping[str, Callable[[str], str]] = {
    "ip_network": _ip_network_sql,
    "email_domain": _email_domain_sql,
}

"""Kinds of mistakes in a policy file: each one small change of the shipped policy."""

from __future__ import annotations

# What stands in the shipped file, and what somebody wrote in its place; the field that
# the refusal names, and what it says is wrong or to do.
Bad = tuple[str, str, str, str]

VERSION, NAME = "version: 1\n", "name: card payments\n"
LEVELS = "default: {challenge: 0.05, review: 0.20, decline: 0.50}"
LARGE = "where: {amount_minor_from: 50000}"
ONLINE = "where: {channel: ECOMMERCE}"
LIMIT = "card_payments_1h: {default: 8}"
SHARE = "terminal_frauds_share: {default: 0.15}"
CARDS = "reason_code: CARD_BLOCKED\n    entries: []"
LISTED = '{token: "7995", reason: betting}'
FIRST = "- id: card_velocity"
WHEN = "when: features.card_payments_1h > limits.card_payments_1h"
THEN = "then: decline\n    reason_code: CARD_VELOCITY_LIMIT"
OWNER = "reason_code: CARD_VELOCITY_LIMIT\n    owner: fraud strategy"
FALLBACK = "- degradation: [amount_unknown]\n    then: challenge"
DEFAULT = "default: {outcome: review, reason_code: NOT_SCORED}"
APPROVED = "approved: NO_RISK_FOUND"
MOST = "model_reasons_max: 3"
WORDING = "CARD_BLOCKED: The card is on the block list."


def when(text: str, said: str) -> Bad:
    """Another predicate of the first rule."""
    return (WHEN, f"when: {text}", "rules.0 (card_velocity).when", said)


def where(text: str, field: str, said: str) -> Bad:
    """Another segment."""
    place = f"thresholds.segments.1.where.{field}".rstrip(".")
    return (ONLINE, f"where: {text}", place, said)


def limit(text: str, said: str) -> Bad:
    """Another number of a limit."""
    new = f"card_payments_1h: {{default: {text}}}"
    return (LIMIT, new, "limits.card_payments_1h.default", said)


def level(text: str, said: str) -> Bad:
    """Another level of the score."""
    new = LEVELS.replace("0.50", text)
    return (LEVELS, new, "thresholds.default.decline", said)


def entry(text: str, field: str, said: str) -> Bad:
    """An entry of the list of blocked cards."""
    new = CARDS.replace("[]", f"[{text}]")
    place = f"lists.blocked_cards.entries.0.{field}".rstrip(".")
    return (CARDS, new, place, said)


TOP: list[Bad] = [
    (VERSION, "version: 2\n", "version", "must be 1"),
    (VERSION, "version: 1.0\n", "version", "must be 1"),
    (VERSION, "version: true\n", "version", "must be 1"),
    (VERSION, 'version: "1"\n', "version", "must be 1"),
    (VERSION, "version: 01.00\n", "version", "must be 1"),
    (VERSION, "version:\n", "version", "must be 1"),
    (VERSION, "", "version", "is required"),
    (VERSION, "Version: 1\n", "Version", "did you mean 'version'"),
    (NAME, "name: 2026\n", "name", "put it in quotes"),
    (NAME, "name: [a]\n", "name", "put it in quotes"),
    (NAME, "name: ''\n", "name", "at least 1 character"),
    (NAME, "nаme: card payments\n", "nаme", "did you mean 'name'"),
    (NAME, "name: a\nname: b\n", "name", "written twice"),
    (APPROVED, "approved: no_risk_found", "approved", "pattern"),
    (APPROVED, "approved: NO_RISK", "approved", "no wording"),
    (MOST, "model_reasons_max: 0", "model_reasons_max", "greater than or equal to 1"),
    (MOST, "model_reasons_max: 3.0", "model_reasons_max", "whole number"),
    (MOST, "model_reasons_max: three", "model_reasons_max", "whole number"),
    (MOST, "model_reasons_max: 1_0", "model_reasons_max", "whole number"),
    (DEFAULT, "default: review", "default", "mapping of fields"),
    (DEFAULT, DEFAULT.replace("review", "reject"), "default.outcome", "'review'"),
    (DEFAULT, DEFAULT.replace("review", "Review"), "default.outcome", "'review'"),
    (DEFAULT, DEFAULT.replace("NOT_SCORED", "X"), "default.reason_code", "pattern"),
    (DEFAULT, "", "default", "is required"),
    (WORDING, "CARD_BLOCKED: Blocked.", "reasons.CARD_BLOCKED", "at least 10"),
    (WORDING, "CARD_BLOCKED: no", "reasons.CARD_BLOCKED", "at least 10"),
    (WORDING, "CARD_BLOCKED:", "reasons.CARD_BLOCKED", "is empty"),
    (WORDING, "card_blocked: The card is blocked.", "reasons.card_blocked", "pattern"),
    (WORDING, "", "lists.blocked_cards.reason_code", "no wording for CARD_BLOCKED"),
]
# Nine aliases of nine aliases, nine times over: a gigabyte of a few lines.
BOMB = "name: &x0 [a]\n" + "".join(
    f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
YAML: list[Bad] = [
    (FIRST, "\t- id: card_velocity", "", "not YAML"),
    (FIRST, "-id: card_velocity", "", "not YAML"),
    (NAME, "name: {a\n", "", "not YAML"),
    (NAME, "name: *nobody\n", "", "not YAML"),
    (NAME, "name: a: b\n", "", "not YAML"),
    (NAME, "name: 'card payments\n", "", "not YAML"),
    (NAME, "name: !!python/name:os.system\n", "", "not YAML"),
    (NAME, "name: card\x00payments\n", "", "is not allowed here"),
    (NAME, f"name: {'[' * 40}{']' * 40}\n", "", "nested deeper"),
    (NAME, BOMB, "", "written out"),
    (LIMIT, "a: &a {<<: *a}", "", "hold themselves"),
    (
        LIMIT,
        f"{LIMIT}\n  true: {{default: 8}}\n  True: {{default: 9}}",
        "true",
        "twice",
    ),
    (LIMIT, "card_payments_1h: {default: 0x" + "f" * 5_000 + "}", "", "is no int"),
    (NAME, "---\nname: card payments\n", "", "another document"),
    (NAME, "<<: {name: a}\n<<: {name: b}\n", "<<", "written twice"),
    (LIMIT, f"{LIMIT}\n  {LIMIT}", "card_payments_1h", "written twice"),
    (
        LIMIT,
        f'{LIMIT}\n  "card_payments_1h": {{default: 9}}',
        "card_payments_1h",
        "twice",
    ),
    (LEVELS, LEVELS.replace("}", ", decline: 0.9}"), "decline", "written twice"),
]
NUMBERS: list[Bad] = [
    level("50", "less than 1"),
    level("1", "less than 1"),
    level("1.0", "less than 1"),
    level("0", "greater than 0"),
    level("-0.5", "greater than 0"),
    level("50%", "number, not in quotes"),
    level("'0.5'", "number, not in quotes"),
    level("0.5.0", "number, not in quotes"),
    level("true", "number, not in quotes"),
    level(".inf", "less than 1"),
    level(".nan", "less than 1"),
    level("1e400", "less than 1"),
    level("[0.5]", "number, not in quotes"),
    (LEVELS, LEVELS.replace("0.05", "0.6"), "thresholds.default", "must rise"),
    (LEVELS, LEVELS.replace("0.20", "0.02"), "thresholds.default", "must rise"),
    (LEVELS, LEVELS.replace("decline", "deny"), "thresholds.default.deny", "unknown"),
    (LEVELS, "Default: {}", "thresholds.Default", "did you mean 'default'"),
    (LEVELS, "default: 0.5", "thresholds.default", "mapping of fields"),
    limit("off", "number, not in quotes"),
    limit("1:30", "number, not in quotes"),
    limit("1_000", "number, not in quotes"),
    (LIMIT, LIMIT.replace("8", "1,5"), "limits.card_payments_1h.5", "unknown field"),
    limit("8 per hour", "number, not in quotes"),
    limit("true", "number, not in quotes"),
    limit("", "is empty"),
    limit(".inf", "less than or equal"),
    limit("-.inf", "greater than or equal"),
    limit("1e16", "less than or equal"),
    limit("9" * 400, "less than or equal"),
    limit("0b11", "number, not in quotes"),
    (LIMIT, "card_payments_1h: 8", "limits.card_payments_1h", "mapping of fields"),
    (LIMIT, "card_payments_1h: {}", "limits.card_payments_1h.default", "required"),
    (LIMIT, "Card_Payments: {default: 8}", "limits.Card_Payments", "pattern"),
    (LIMIT, "card-payments: {default: 8}", "limits.card-payments", "pattern"),
    (LIMIT, f"{LIMIT}\n  sum_minor: {{default: 9.5}}", "limits.sum_minor", "whole"),
    (SHARE, SHARE.replace("0.15", "15"), "rules.5 (terminal_under_attack).when",
     "never holds: features.terminal_fraud_rate_7d lies between 0 and 1"),
]  # fmt: skip
SEGMENTS: list[Bad] = [
    where("{}", "", "is empty"),
    where("", "", "is empty"),
    where("ECOMMERCE", "", "mapping of fields"),
    where("{merchant: []}", "merchant", "at least one"),
    where("{merchant: ''}", "merchant.0", "at least 1"),
    where("{merchant: }", "merchant.0", "is empty"),
    where("{merchant: {a: b}}", "merchant.0", "put it in quotes"),
    where("{merchant: 4711}", "merchant.0", "put it in quotes"),
    where("{merchant_category: 7995}", "merchant_category.0", "put it in quotes"),
    where('{merchant_category: "742"}', "merchant_category", "'0742'"),
    where("{currency: usd}", "currency", "'USD'"),
    where("{currency: $}", "currency", "ISO 4217"),
    where("{currency: XXX}", "currency", "ISO 4217"),
    where("{card_country: UK}", "card_country", "'GB'"),
    where("{card_country: DEU}", "card_country", "'DE'"),
    where("{merchant_country: Germany}", "merchant_country", "'DE'"),
    where("{card_country: [DE, de]}", "card_country", "'DE'"),
    where("{channel: online}", "channel", "one of POINT_OF_SALE, ECOMMERCE"),
    where("{channel: 2}", "channel.0", "put it in quotes"),
    where("{chanel: ECOMMERCE}", "chanel", "did you mean 'channel'"),
    where("{amount_from: 1}", "amount_from", "did you mean 'amount_minor_from'"),
    where("{amount_minor_from: 10.5}", "amount_minor_from", "whole number"),
    where("{amount_minor_from: '5'}", "amount_minor_from", "whole number"),
    where("{amount_minor_from: -1}", "amount_minor_from", "greater than or equal to 0"),
    where("{amount_minor_from: 1e30}", "amount_minor_from", "whole number"),
    where("{amount_minor_below: 0}", "amount_minor_below", "greater than or equal"),
    where("{amount_minor_from: 9, amount_minor_below: 9}", "", "must exceed"),
]
TWICE = f"- {ONLINE}\n      challenge: 0.03"
LISTS: list[Bad] = [
    entry("a", "", "mapping of fields"),
    entry("{}", "token", "is required"),
    entry("{token: 123456}", "token", "put it in quotes"),
    entry("{token: 12e3}", "token", "put it in quotes"),
    entry("{token: ''}", "token", "at least 1"),
    (CARDS, CARDS.replace("[]", "[{token: '4111 1111 1111 1111'}]"), "", "card number"),
    (CARDS, CARDS.replace("[]", "[{token: a, reason: 4111-1111-1111-1111}]"), "",
     "card number"),
    (OWNER, OWNER.replace("fraud strategy", "4111.1111.1111.1111"), "", "card number"),
    (ONLINE, "where: {merchant: '4111111111111111'}", "", "card number"),
    (WORDING, "CARD_BLOCKED: The card 4111 1111 1111 1111 is bad.", "", "card number"),
    entry('{token: "a\\u0000b"}', "", "must be printable"),
    (ONLINE, 'where: {merchant: "a\\nb"}', "thresholds.segments.1.where.merchant",
     "must be printable"),
    (TWICE, f"{TWICE}\n    {TWICE}", "thresholds.segments.2", "has the same"),
    entry("{token: a, until: 2030-01-01}", "until", "unknown field"),
    entry("{token: a, expires: 2030-01-01}", "expires", "with its zone"),
    entry("{token: a, expires: 2030-01-01T00:00:00}", "expires", "time zone"),
    entry("{token: a, expires: 01.02.2030}", "expires", "with its zone"),
    entry("{token: a, expires: 2030-02-30T00:00:00Z}", "expires", "day value"),
    entry("{token: a, expires: 1893456000}", "expires", "with its zone"),
    entry("{token: a, expires: 0001-01-01T00:00:00Z}", "", "before any payment"),
    entry(f"{{token: a, reason: {'x' * 201}}}", "reason", "at most 200"),
    (CARDS, CARDS.replace("[]", "a"), "lists.blocked_cards.entries", "a list"),
    (CARDS, CARDS.replace("reason_code: CARD_BLOCKED\n    ", ""),
     "lists.blocked_cards", "written together"),
    ("field: card\n", "field: pan\n", "lists.blocked_cards.field", "known: currency"),
    ("field: card\n", "field: id\n", "lists.blocked_cards.field", "no list"),
    ("    field: card\n", "", "lists.blocked_cards", "written together"),
    ("field: card\n    then: decline", "field: card\n    then: block",
     "lists.blocked_cards.then", "'decline'"),
    ("  blocked_cards:", "  blocked-cards:", "lists.blocked-cards", "pattern"),
]  # fmt: skip
RULES: list[Bad] = [
    (FIRST, "- id: Card Velocity", "rules.0.id", "pattern"),
    (FIRST, "- id: cаrd_velocity", "rules.0.id", "pattern"),
    (FIRST, "- id: card_testing", "rules.1.id", "is taken"),
    (FIRST, "- name: card_velocity", "rules.0.id", "is required"),
    (THEN, THEN.replace("decline", "block"), "rules.0.then", "'decline'"),
    (THEN, THEN.replace("decline", "score"), "rules.0.then", "'decline'"),
    (THEN, "reason_code: CARD_VELOCITY_LIMIT", "rules.0.then", "is required"),
    (OWNER, f"{OWNER}\n    mode: on", "rules.0.mode", "'enforce', 'shadow'"),
    (OWNER, f"{OWNER}\n    enabled: false", "rules.0.enabled", "unknown field"),
    (OWNER, f"{OWNER}\n    priority: high", "rules.0.priority", "whole number"),
    (OWNER, f"{OWNER}\n    priority: 1e3", "rules.0.priority", "whole number"),
    (OWNER, f"{OWNER}\n    priority: 99999", "rules.0.priority", "less than"),
    (OWNER, f"{OWNER}\n    on_missing: decline", "rules.0", "missing_reason_code"),
    (OWNER, f"{OWNER}\n    on_missing: skip", "rules.0.on_missing", "'no_match'"),
    (OWNER, f"{OWNER}\n    expires: 2027-01-01", "rules.0.expires", "with its zone"),
    (OWNER, f"{OWNER}\n    expires: never", "rules.0.expires", "datetime"),
    (OWNER, f"{OWNER}\n    expires: 1999-01-01T00:00:00Z", "rules.0", "never be asked"),
    (OWNER, f"{OWNER}\n    starts: 2200-01-01T00:00:00Z", "rules.0", "never be asked"),
    (OWNER, f"{OWNER}\n    reason: x", "rules.0.reason", "unknown field"),
    (OWNER, OWNER.replace("LIMIT", "LIMITS"), "rules.0.reason_code", "no wording"),
    (FALLBACK, FALLBACK.replace("amount_unknown", "redis_down"),
     "fallbacks.4.degradation.0", "known: history_unavailable"),
    (FALLBACK, FALLBACK.replace("[amount_unknown]", "[]"),
     "fallbacks.4.degradation", "at least one"),
    (FALLBACK, FALLBACK.replace("[amount_unknown]", "too_late"),
     "fallbacks.5", "never reached for too_late"),
    (FALLBACK, FALLBACK.replace("challenge", "allow"), "fallbacks.4.then", "'approve'"),
    ("reason_code: AMOUNT_UNKNOWN\n", "where: {}\n", "fallbacks.4.where", "is empty"),
]  # fmt: skip
PREDICATES: list[Bad] = [
    (WHEN, "when:", "rules.0.when", "is empty"),
    (WHEN, "when: true", "rules.0.when", "put it in quotes"),
    (WHEN, "when: 5", "rules.0.when", "put it in quotes"),
    (WHEN, "when: [1.0].all(x, x > score)", "", "not YAML"),
    when("'true'", "holds for every payment"),
    when("'false'", "never holds"),
    when("'!true'", "never holds"),
    when("transaction.amount_minor < 0", "lies between 0 and"),
    when("transaction.amount_minor >= 0", "always holds"),
    when("-1 > transaction.amount_minor", "lies between 0 and"),
    when("transaction.attempt < 1", "lies between 1 and 1000"),
    when("transaction.occurred_at_ms > 1767268800", "always holds"),
    when("score > 1.0", "lies between 0 and 1"),
    when("score >= 50.0", "lies between 0 and 1"),
    when("score < 0.0", "lies between 0 and 1"),
    when("score != 2.0", "always holds"),
    when("features.card_count_1h < 0.0", "lies at 0 or above"),
    when("features.card_count_1h == 2.5", "in whole numbers"),
    when("features.is_night > 1.0", "lies between 0 and 1"),
    when("features.is_night == 0.5", "never holds"),
    when("features.hour >= 24.0", "lies between 0 and 23"),
    when("features.merchant_fraud_rate_30d > 5.0", "lies between 0 and 1"),
    when("score > limits.card_payments_1h", "limits.card_payments_1h is 8"),
    when("score > 0.5 && score < 0.3", "never holds"),
    when("features.amount > 5.0 && features.amount <= 5.0", "never holds"),
    when("features.card_count_1h > 2.0 && features.card_count_1h < 3.0", "never holds"),
    when("transaction.amount_minor > 5 && transaction.amount_minor < 6", "never holds"),
    when("score > 0.5 && !(score > 0.2)", "never holds"),
    when("score > 0.5 || score <= 0.5", "holds for every payment"),
    when("'!has(transaction.card) && transaction.card == \"a\"'", "never holds"),
    when("'!has(transaction.id)'", "never holds"),
    when("has(transaction.occurred_at_ms)", "holds for every payment"),
    when('transaction.currency == "EUR" && transaction.currency == "USD"', "never"),
    when('transaction.card in ["a", "b"] && transaction.card == "c"', "never holds"),
    when('transaction.channel == "usd"', "never its value"),
    when('transaction.card_country == "UK"', "'GB'"),
    when("transaction.currency == transaction.card_country", "never equal"),
    when("features.card_cuont_1h > 5.0", "did you mean 'card_count_1h'"),
    when("features.cаrd_count_1h > 5.0", "at: 'а'"),
    when("feature.card_count_1h > 5.0", "did you mean 'features'"),
    when("features.card_count_1h > 5", "write 5.0"),
    when("transaction.amount_minor > 500.0", "write 500"),
    when("transaction.amount > 500.0", "'amount' is not a field"),
    when("features.card_count_1h > limits.card_payment_1h", "did you mean"),
    when("transaction.card in lists.blocked_card", "did you mean 'blocked_cards'"),
    when("transaction.card == lists.blocked_cards", "known inputs"),
    when('transaction.currency = "EUR"', "write =="),
    when("score > 0.5 and score < 0.9", "write &&"),
    when("score > 0.9 OR score < 0.5", "write ||"),
    when("not (score > 0.9)", "write !"),
    when("transaction.currency == EUR", "a text needs quotes"),
    when("score > 0,5", "Syntax error"),
    when("score > 1e400", "lies between 0 and 1"),
    when("score > 50%", "Syntax error"),
    when("'[1.0].all(x, x > score)'", "loops"),
    when("size(transaction.card) < 1", "never holds"),
    when("transaction.card.contains(transaction.card)", "with itself"),
    when("features.amount / 2.0 > 5.0", "multiply the other side"),
    when("'transaction.card == \"\"'", "!has("),
    when("'transaction.device == null'", "constant"),
]  # fmt: skip
ALL = [*TOP, *YAML, *NUMBERS, *SEGMENTS, *LISTS, *RULES, *PREDICATES]

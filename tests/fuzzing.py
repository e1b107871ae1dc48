"""How many cases the fuzzers try: fewest in a quick run, and many by night."""

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE")
# By night: five methods for each message, eight at most on a stream, and two forms of
# broken frames: more than 100,000 cases through the door, besides the 1,000,000 of
# `fuzz_decoding`.
MESSAGES, STREAMS, FRAMES = {
    "nightly": (12_000, 4_000, 20_000),
    "quick": (8, 5, 6),
}.get(PROFILE, (50, 30, 40))


def tried(count: int) -> settings:
    """Settings of a test that tries this many."""
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
            HealthCheck.data_too_large,
        ],
    )

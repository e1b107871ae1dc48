"""How many cases the fuzzers try: few on every run, many by night."""

import os

from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# By night: five methods for each message, eight at most on a stream, and two forms of
# broken frames: more than 100,000 cases through the door, besides the 1,000,000 of
# `fuzz_decoding`.
MESSAGES, STREAMS, FRAMES = (12_000, 4_000, 20_000) if NIGHTLY else (50, 30, 40)


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

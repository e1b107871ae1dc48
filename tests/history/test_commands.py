"""The commands, as an operator types them."""

import os
import random
import re
import subprocess
import sys

from streams import Shape, check, transactions

from scoring.ports.history import Applied


def scoring(settings, directory, *words, exits=0):
    """Run one command to its end; returns what it printed."""
    told = {
        "redis_url": settings.redis_url,
        "kafka_bootstrap": settings.kafka_bootstrap,
        "topic_prefix": settings.topic_prefix,
        "namespace": settings.namespace,
        "fetch_wait_ms": str(settings.fetch_wait_ms),
        "archive_dir": str(directory / "archive"),
        "state_dir": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *words],
        env={**os.environ, **{f"SCORING_{k.upper()}": v for k, v in told.items()}},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


async def test_a_history_is_archived_audited_rebuilt_and_forgotten(
    life, settings, tmp_path
):
    rnd = random.Random(9)
    stream = transactions(rnd, Shape(count=60, late=0))
    await life.pay(stream, rnd)
    assert "60 decisions, 0 labels taken" in scoring(settings, tmp_path, "archive")
    audited = scoring(settings, tmp_path, "features", "audit", "--sample", "50")
    assert "50 decisions" in audited
    assert " 0 differ" in audited
    refused = scoring(settings, tmp_path, "rebuild", exits=2)
    assert "--wipe" in refused
    rebuilt = scoring(settings, tmp_path, "rebuild", "--wipe")
    assert "60 transactions, 60 decisions and 0 labels are back" in rebuilt
    assert re.search(r"transactions\W+60/60", rebuilt), "the bars say how much there is"
    assert not re.search(r"\b\d+/0\b", rebuilt)
    (seen,) = await life.store.observe([check(stream[0])])
    assert seen.applied is Applied.REPEATED
    assert seen.stored == life.decided[stream[0].id]
    forgotten = scoring(settings, tmp_path, "forget", "card:c1")
    assert re.search(r"erased: [1-9]\d* keys of state, [1-9]\d* recorded", forgotten)
    assert f"{settings.topic_prefix}decisions still holds" in forgotten

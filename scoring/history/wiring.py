"""From the settings to an archive that is up to date, and a store to fill from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scoring.core.features.catalogue import Catalogue
from scoring.doors.stream.records import KafkaIntake
from scoring.errors import BadArtifact
from scoring.history.archive import Archive
from scoring.history.topic_archiver import Progress, Taken, TopicSource, archive_topics
from scoring.kafka.client_options import client_options
from scoring.kafka.reader import LogReader
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings
from scoring.stores.redis.bulk_load import RedisHistory
from scoring.stores.redis.script_compiler import Terms
from scoring.tables.row_accounting import RowAccount
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.wiring.connections import address_from

_MS_PER_S = 1_000


def archive_from(settings: Settings, directory: Path | None = None) -> Archive:
    """The archive that is named, else one of the moment in the state directory."""
    working = settings.state_dir / f"history-{settings.namespace}"
    return Archive(directory or settings.archive_dir or working)


async def update_archive(
    settings: Settings,
    archive: Archive,
    progress: Progress,
    account: RowAccount | None = None,
) -> Taken | None:
    """Bring the archive up to date with the topics; None where there is no broker.

    `account` gets what became of every record that was read.
    """
    if not settings.kafka_bootstrap:
        if not archive.files("decisions"):
            raise BadArtifact(
                "there is nothing to read: name your brokers in "
                f"SCORING_KAFKA_BOOTSTRAP, or an archive; {archive.directory} has no "
                "decisions"
            )
        return None
    reader = LogReader(
        settings.kafka_bootstrap,
        client_options(settings.kafka_options),
        settings.fetch_wait_ms,
    )
    async with reader:
        topics, intake = Topics(settings.topic_prefix), _intake_from(settings)
        return await archive_topics(
            archive,
            TopicSource(reader, topics, intake.label, intake.event),
            account=account or RowAccount(),
            progress=progress,
        )


def _intake_from(settings: Settings) -> KafkaIntake:
    return KafkaIntake(
        message_bytes_max=settings.message_bytes_max,
        skew_ms=settings.skew_s * _MS_PER_S,
        exempt=settings.numeric_ids,
        telemetry=SilentTelemetry(),
    )


def terms_from(settings: Settings) -> Terms:
    """Lateness and dedupe horizon as the store has them."""
    return Terms(settings.lateness_s * _MS_PER_S, settings.dedupe_s * _MS_PER_S)


@asynccontextmanager
async def store_to_fill(
    settings: Settings, catalogue: Catalogue
) -> AsyncIterator[RedisHistory]:
    """The store of the settings; raises `BadArtifact`, `StoreUnavailable`."""
    async with RedisHistory.open(
        address_from(settings),
        catalogue=catalogue,
        namespace=settings.namespace,
        terms=terms_from(settings),
    ) as store:
        yield store

"""Health: which process runs what, and how far behind each is."""

from __future__ import annotations

from starlette.responses import Response

from scoring.console.visit import PageRoute, Visit, reads


def health(visit: Visit) -> Response:
    """The page."""
    found = visit.api.get("replicas").json
    feed = visit.desk.live
    return visit.page(
        "health.html",
        title="Health",
        release=found["release"],
        published_at_ms=found["published_at_ms"],
        replicas=found["items"],
        fault=feed.fault,
        age_s=feed.age_s,
        minute=feed.minute(),
    )


ROUTES: tuple[PageRoute, ...] = (reads("/health", health),)

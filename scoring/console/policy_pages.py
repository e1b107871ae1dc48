"""Policy: versions and their texts."""

from __future__ import annotations

from starlette.responses import Response

from scoring.console.visit import PageRoute, Visit, reads


def version(visit: Visit) -> Response:
    """The text of a hash: what a decision names."""
    wanted = visit.path["version"]
    items = visit.api.get("versions", wanted).json["items"]
    return visit.page(
        "policy_version.html",
        title=f"Policy {wanted}",
        wanted=wanted,
        items=items,
    )


ROUTES: tuple[PageRoute, ...] = (reads("/policy/version/{version}", version),)

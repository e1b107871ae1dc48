"""Other payments of a payment's tokens: a graph, and the same as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from scoring.console.edge import whole_number
from scoring.console.payments.payment_life import LINKED_DAYS, links_of
from scoring.console.visit import PageRoute, Visit, reads

_WIDTH = 720
_ROW = 34
_LEFT, _MIDDLE, _RIGHT = 10, 250, 500
_OWN_WIDTH, _NODE_WIDTH = 190, 210
_SHOWN_MAX = 15
_CHARACTERS_MAX = 26


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A text at a place; `kind` is how it is drawn."""

    x: int
    y: float
    width: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class LinkGraph:
    """A payment, its tokens, and other payments: lines are between those that share."""

    nodes: tuple[GraphNode, ...]
    lines: tuple[tuple[float, float, float, float], ...]
    summary: str
    width: int
    height: int


def links(visit: Visit) -> Response:
    """A part of a page: it takes longer."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    near_ms = whole_number("near", visit.query.get("near", ""))
    found = links_of(visit, tenant, transaction_id, near_ms)
    return visit.page(
        "links.html",
        title=f"Other payments of {transaction_id}'s tokens",
        tenant=tenant,
        days=LINKED_DAYS,
        links=found.links,
        lacks=found.lacks,
        graph=graph_of(transaction_id, found.links),
    )


def graph_of(
    transaction_id: str, found: Sequence[Mapping[str, Any]]
) -> LinkGraph | None:
    """The links as a drawing, those with most in common first; None without any.

    >>> other = {"transaction_id": "t2", "outcome": "decline", "occurred_at_ms": 5}
    >>> both = [{"shared": name, "token": "x", "newest": [other]}
    ...         for name in ("card", "device")]
    >>> graph = graph_of("t1", both)
    >>> [node.text for node in graph.nodes]
    ['t1', 'card x', 'device x', 't2: decline']
    >>> len(graph.lines), graph.summary
    (4, 'Of the payments shown 1 share its card, 1 share its device.')
    """
    linked = [link for link in found if link["newest"]]
    if not linked:
        return None
    others = _others(linked)
    height = _ROW * (max(len(linked), len(others)) + 1)
    own = GraphNode(_LEFT, height / 2, _OWN_WIDTH, _cut(transaction_id), "own")
    tokens = {
        link["shared"]: GraphNode(
            _MIDDLE, y, _NODE_WIDTH, _cut(f"{link['shared']} {link['token']}"), "token"
        )
        for link, y in zip(linked, _rows(len(linked), height), strict=True)
    }
    drawn, lines = [], [_line(own, token) for token in tokens.values()]
    for (other, shared), y in zip(others, _rows(len(others), height), strict=True):
        text = f"{_cut(other['transaction_id'])}: {other['outcome']}"
        node = GraphNode(_RIGHT, y, _NODE_WIDTH, text, other["outcome"])
        drawn.append(node)
        lines += [_line(tokens[name], node) for name in shared]
    return LinkGraph(
        nodes=(own, *tokens.values(), *drawn),
        lines=tuple(lines),
        summary=_summary(linked),
        width=_WIDTH,
        height=height,
    )


def _others(
    linked: Sequence[Mapping[str, Any]],
) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Other payments with what they share, most first, then the newest."""
    known: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for link in linked:
        for other in link["newest"]:
            _, shared = known.setdefault(other["transaction_id"], (other, []))
            shared.append(link["shared"])
    ranked = sorted(
        known.values(), key=lambda each: (-len(each[1]), -each[0]["occurred_at_ms"])
    )
    return ranked[:_SHOWN_MAX]


def _summary(linked: Sequence[Mapping[str, Any]]) -> str:
    parts = [f"{len(link['newest'])} share its {link['shared']}" for link in linked]
    return f"Of the payments shown {', '.join(parts)}."


def _rows(count: int, height: float) -> list[float]:
    return [height * (place + 1) / (count + 1) for place in range(count)]


def _line(one: GraphNode, other: GraphNode) -> tuple[float, float, float, float]:
    return one.x + one.width, one.y, other.x, other.y


def _cut(text: str) -> str:
    """A text as long as there is room for.

    >>> _cut("a" * 40)
    'aaaaaaaaaaaaaaaaaaaaaaaaa…'
    """
    if len(text) <= _CHARACTERS_MAX:
        return text
    return f"{text[: _CHARACTERS_MAX - 1]}…"


ROUTES: tuple[PageRoute, ...] = (reads("/links/{tenant}/{id:path}", links),)

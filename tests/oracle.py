"""What the features of decided transactions should have been: the reference engine."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.reference import Reference
from scoring.core.features.vector import vectorise
from scoring.v1.decision_pb2 import Decision

SAMPLE = 1_500  # it looks at every event again: all are counted, so many are judged


def wrong_features(logged: Iterable[bytes]) -> list[str]:
    """Features that differ, "t1: card_count_1d", from the reference engine's.

    `logged` are records of the decisions topic (protobuf), one a transaction. They
    are counted in the order in which the store processed them; what a decision
    flags as inexact is not held against it.
    """
    catalogue = default_catalogue()
    engine, wrong = Reference(catalogue), []
    decided = sorted(
        map(Decision.FromString, logged),
        key=lambda decision: decision.trace.processed_seq,
    )
    order = [decision.trace.processed_seq for decision in decided]
    assert all(order), "a decision does not say when it was processed"
    assert len(set(order)) == len(order), "two decisions claim one place in the order"
    judged = set(random.Random(0).sample(range(len(decided)), min(SAMPLE, len(order))))
    for place, decision in enumerate(decided):
        t = wire.transaction_from_proto(decision.transaction)
        if place in judged:
            [expected] = vectorise(catalogue, [t], [engine.evaluate(t)])
            found = np.array(decision.core.features, np.float32)
            same = (found == expected) | (np.isnan(found) & np.isnan(expected))
            wrong += [
                f"{t.id}: {catalogue.names[i]}"
                for i in np.flatnonzero(~same)
                if catalogue.names[i] not in decision.core.inexact_features
            ]
        engine.add(t)
    return wrong


def out_of_order(logged: Iterable[bytes]) -> list[str]:
    """Positions processed before an earlier one of the same partition."""
    places = sorted(
        (partition, int(offset), decision.trace.processed_seq)
        for decision in map(Decision.FromString, logged)
        for partition, offset in [decision.trace.position.rsplit("@", 1)]
    )
    return [
        f"{b[0]}@{b[1]}" for a, b in pairwise(places) if a[0] == b[0] and a[2] > b[2]
    ]

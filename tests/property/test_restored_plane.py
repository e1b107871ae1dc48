"""Whatever backup is restored and whatever the topic loses, readers follow again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, note, settings
from hypothesis import strategies as st
from topic_parts import Plane, Reader, Topic

LISTS, TOKENS = ("one", "two"), ("a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.just("release"), st.integers(1, 4)),
    st.tuples(
        st.sampled_from(["put", "take_off"]),
        st.sampled_from(LISTS),
        st.sampled_from(TOKENS),
    ),
    st.tuples(st.just("restore"), st.integers(0, 5)),
    st.sampled_from(
        [("back_up",), ("relay",), ("half",), ("read",), ("again",), ("lose",)]
    ),
)


def stepped(plane, reader, step):
    match step:
        case ("release", n):
            plane.release(n)
        case ("put" | "take_off" as act, name, token):
            getattr(plane, act)(name, token)
        case ("back_up",):
            plane.back_up()
        case ("restore", n) if plane.backups:
            plane.restore(plane.backups[n % len(plane.backups)])
        case ("relay",):
            plane.relay()
        case ("half",):
            plane.relay(marks=False)
        case ("read",):
            reader.read(plane.topic)
        case ("again",):
            reader.again()
        case ("lose",):
            reader.read(plane.topic)
            plane.topic.records.clear()
            reader.again()


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(STEPS, max_size=25))
def test_the_next_release_and_every_list_reach_a_reader_of_any_past(steps):
    note(str(steps))
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        plane = Plane(directory / "control.db", Topic(), directory)
        reader = Reader(directory / "old")
        # Before anything was ever published, a new topic is no lost one.
        plane.release(5)
        plane.relay()
        released = {}
        for step in [("back_up",), *steps]:
            stepped(plane, reader, step)
            if step == ("lose",):
                released.clear()
            for value in plane.topic.releases():
                number = value.split(b",")[0]
                assert released.setdefault(number, value) == value
        plane.relay()
        number = plane.release(9)
        plane.relay()
        fresh = Reader(directory / "new")
        for each in (reader, fresh):
            each.read(plane.topic)
            assert each.release.release == number
            assert each.release.policy == plane.in_force().version
            assert {
                name: tokens
                for name, tokens in each.entries(TOKENS).items()
                if name in plane.entries()
            } == plane.entries()
        plane.database.close()

"""The README keeps its order, its length and its promises of what is where."""

import re
from types import SimpleNamespace

import pytest
from readme import README, block_of
from screenshots import PICTURES

from scoring.cli.calls import TARGET
from scoring.demo.stage import Stage, try_it
from scoring.kafka.topic_names import Topics

TEXT = README.read_text()
ORDER = [
    "The picture",
    "Two commands",
    "What you will see",
    "The map of the code",
    "The figures",
    "Links",
]


def test_the_readme_keeps_its_order():
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == ORDER


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(target):
    assert (README.parent / target).exists()


def test_the_pictures_are_those_that_are_taken_and_small():
    named = set(re.findall(r"\(docs/screenshots/([a-z-]+)\.png\)", TEXT))
    there = list((README.parent / "docs" / "screenshots").glob("*.png"))
    assert named == {picture.name for picture in PICTURES}
    assert named == {file.stem for file in there}
    assert max(file.stat().st_size for file in there) < 150_000
    assert sum(file.stat().st_size for file in there) < 1_500_000


def paths_of_the_map() -> list[str]:
    table = TEXT[TEXT.index("## The map of the code") : TEXT.index("## The figures")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return [path for row in rows for path in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("path", paths_of_the_map())
def test_everything_on_the_map_is_there(path):
    assert (README.parent / path).exists()


def test_the_map_leaves_out_no_room():
    folders = {
        f"scoring/{each.name}/"
        for each in (README.parent / "scoring").iterdir()
        if (each / "__init__.py").exists()
    }
    assert not folders - set(paths_of_the_map())


def test_no_figure_is_claimed_without_a_measured_row():
    table = TEXT[TEXT.index("## The figures") : TEXT.index("## Links")]
    values = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")]
    claimed = {n for value in values for n in re.findall(r"\d[\d,.]*\d|\d", value)}
    measured = (README.parent / "benchmarks" / "results.md").read_text()
    assert claimed
    assert not {n for n in claimed if not re.search(rf"(?<!\d){n}(?!\d)", measured)}


def test_the_demo_shows_the_line_that_the_readme_has_one_copy():
    shown = try_it(
        Stage(
            parts=SimpleNamespace(bootstrap="k:9092"),
            topics=Topics("demo-1."),
            serve=SimpleNamespace(address="g:50051", http_address="h:8080"),
            stream=SimpleNamespace(),
        )
    )
    names = re.findall(r"(\w+)=\S+", shown)
    assert names == re.findall(r"(\w+)=\S+", block_of("export"))
    assert f"{TARGET}=g:50051 " in shown

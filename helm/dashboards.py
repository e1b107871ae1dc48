"""Writes the chart's dashboards for Grafana: one JSON file each; `make dashboards`.

Usage: dashboards.py [DIRECTORY]. dashboards.yaml declares the panels; what a panel says
about itself comes from the declarations of its metrics.
"""

import json
import re
import sys
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml
from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    GridPos,
    VariableOption,
    VariableRefresh,
)

from scoring.ports.metrics import METRICS

PANELS = Path(__file__).resolve().with_suffix(".yaml")
DIRECTORY = PANELS.parent / "fraud-scoring" / "files" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH, HEIGHT, ACROSS = 8, 8, 3  # of Grafana's grid, 24 wide
LEGEND = common.VizLegendOptions().show_legend(show_legend=True)


def described(panel: dict[str, Any]) -> str:
    """What its metrics mean, and what to do when they move."""
    asked = " ".join(panel["queries"].values())
    used = [
        metric
        for metric in METRICS
        if re.search(rf"\b{metric.scraped}(_bucket|_count)?\b", asked)
    ]
    return "\n\n".join(f"{one.scraped}: {one.meaning} {one.act}" for one in used)


def drawn(panel: dict[str, Any], number: int) -> stat.Panel | timeseries.Panel:
    """A panel at its place in the grid."""
    alone = panel.get("one", False)
    made = stat.Panel() if alone else timeseries.Panel().legend(LEGEND)
    for letter, (legend, expr) in zip(
        ascii_uppercase, panel["queries"].items(), strict=False
    ):
        query = prometheus.Dataquery().ref_id(letter).expr(expr).legend_format(legend)
        made = made.with_target(query.instant() if alone else query.range())
    row, column = divmod(number, ACROSS)
    place = GridPos(h=HEIGHT, w=WIDTH, x=column * WIDTH, y=row * HEIGHT)
    made = made.title(panel["title"]).unit(panel["unit"]).datasource(SOURCE)
    return made.description(described(panel)).grid_pos(place)


def uid(board: dict[str, Any]) -> str:
    """Its address in Grafana, and the name of its file."""
    return f"fraud-{board['title'].lower().replace(' ', '-')}"


def laid_out(board: dict[str, Any]) -> str:
    """A whole dashboard, as JSON."""
    everything = VariableOption(text="All", value="$__all")
    installation = (
        dashboard.QueryVariable("namespace")
        .label("installation")
        .query("label_values(fraud_build_info, namespace)")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        # Where nothing has the label, too.
        .all_value(".*")
        .current(everything)
    )
    made = (
        dashboard.Dashboard(f"Fraud scoring: {board['title']}")
        .uid(uid(board))
        .tags(["fraud-scoring"])
        .time("now-3h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(installation)
    )
    for name, price in board.get("prices", {}).items():
        made = made.with_variable(dashboard.TextBoxVariable(name).default_value(price))
    for number, panel in enumerate(board["panels"]):
        made = made.with_panel(drawn(panel, number))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main(directory: str = str(DIRECTORY)) -> None:
    """Write them all."""
    for board in yaml.safe_load(PANELS.read_text()):
        Path(directory, f"{uid(board)}.json").write_text(laid_out(board))


if __name__ == "__main__":
    main(*sys.argv[1:])

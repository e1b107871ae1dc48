"""`scoring simulate`: write a world of payments with known frauds to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Argument(help="Parquet file to write")],
    *,
    seed: Annotated[int, typer.Option(help="the same seed, the same world")] = 0,
    days: Annotated[int, typer.Option(min=1, max=3_660)] = 30,
    customers: Annotated[int, typer.Option(min=1, max=1_000_000)] = 5_000,
    terminals: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
) -> None:
    """Simulate payments with five known patterns of fraud, as a Parquet table."""
    import pyarrow.parquet as pq

    from scoring.training.progress import bar
    from scoring.training.simulation.simulate import World
    from scoring.training.simulation.simulate import simulate as simulated

    world = World(seed=seed, days=days, customers=customers, terminals=terminals)
    with bar() as report:
        table = simulated(world, report=report)
        report("write", 0.0)
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, out, compression="zstd")
        report("write", 1.0)
    frauds = sum(table["fraud"].to_pylist())
    typer.echo(f"{table.num_rows:,} transactions, {frauds:,} of them fraud: {out}")

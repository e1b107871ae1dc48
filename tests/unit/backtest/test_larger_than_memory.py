"""What does not fit into memory goes to disk, and changes no figure."""

from benchmarks.backtest import CATALOGUE, filled, policy
from scoring.backtest.result import plain
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import ArchiveSource

PAYMENTS = 100_000
ENOUGH_MB, TIGHT_MB = 2_048, 30


def test_figures_are_equal_where_most_of_it_had_to_go_to_disk(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source = ArchiveSource(filled(tmp_path / "archive", PAYMENTS), CATALOGUE)

    def judged(memory_mb):
        spilled = [0]

        def watch(*_):
            files = [path for path in scratch.rglob("*") if path.is_file()]
            spilled.append(sum(path.stat().st_size for path in files))

        options = BacktestOptions(memory_mb=memory_mb, threads=1, scratch=scratch)
        found = backtest(source, policy(3), policy(2), options=options, report=watch)
        return plain(found), max(spilled)

    enough, tight = judged(ENOUGH_MB), judged(TIGHT_MB)
    assert tight[0] == enough[0]
    assert tight[0]["eligible"] == PAYMENTS
    assert enough[1] == 0
    assert tight[1] > 1_000_000, "nothing was spilled: the limit proves nothing"
    assert not any(scratch.iterdir()), "what was spilled is removed"

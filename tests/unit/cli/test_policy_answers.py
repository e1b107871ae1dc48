"""What the shell says of a version once something was done with it."""

from scoring.cli.plane.show import show_done


def test_a_proposal_says_at_once_what_its_approval_will_need(capsys):
    version = {"number": 2, "version": "0" * 16}
    policy = version | {"state": "proposed", "remarks": []}
    done = {
        "policy": policy,
        "proposal": {"number": 1, "stage": "open"},
        "release": None,
        "notices": [],
        "gate": ["no backtest yet"],
    }
    show_done(done)
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["an approval needs a written reason: no backtest yet"]

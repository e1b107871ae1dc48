"""What makes a word a command of ours."""

from scoring.__main__ import assemble, commands


def test_a_module_of_a_groups_own_is_no_command_beside_it():
    assert {"policy", "dead-letters"} <= set(commands())
    assert "policy-backtest" not in commands()


def test_every_module_that_is_a_command_has_one():
    assembled = assemble()
    groups = {group.name for group in assembled.registered_groups}
    assert set(commands()) <= groups | {c.name for c in assembled.registered_commands}

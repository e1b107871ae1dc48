"""The state of many entities made offline at once, where replaying would take hours.

In three steps: `entity_bytes` makes from an entity's events the bytes that the store's
program would have kept; `packer` does it for every entity of a ledger, in groups that
fit into memory; `install` puts them into the store, once the program itself has made
the same bytes of a sample.
"""

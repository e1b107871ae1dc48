"""Migrations of the control plane's database, run by `Database.migrated`."""

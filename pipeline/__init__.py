"""Minute Ledger: the domain. Plain Python; nothing here knows Dagster, save `definitions`."""

"""Alerts: what people are told of by themselves, in which words and forms, and how it is sent.

What is the case is read from the ledger (`pipeline.store.troubles`), what has been told is kept
there (`pipeline.store.alerts`). What runs have failed only Dagster knows, and says it in the words
of `runs`.
"""

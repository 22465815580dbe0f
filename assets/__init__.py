"""Dagster assets, made by a factory from the universe: thin, over helpers without a context."""

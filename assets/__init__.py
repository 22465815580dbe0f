"""Dagster assets, made by a factory from the universe."""

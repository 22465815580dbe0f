"""Dagster resources that hand out plain domain objects."""

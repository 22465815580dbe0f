"""The command line from outside: real processes, PostgreSQL and Dagster, and a local venue."""

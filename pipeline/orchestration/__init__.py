"""Starting Dagster's processes and talking to them over HTTP. Imports nothing of Dagster's."""

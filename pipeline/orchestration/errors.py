"""What can go wrong between us and Dagster's processes."""


class OrchestrationError(Exception):
    """Dagster cannot be started, reached or told; the message says why and what to do."""

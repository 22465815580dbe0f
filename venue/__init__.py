"""A local HTTP venue that answers as exchanges do. It imports nothing of ours."""

"""`python -m pipeline.universe` prints the JSON schema of the universe file."""

import json
import sys

from pipeline.universe import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")

"""Until when a provider wants to be left alone.

What belongs here: reading it. `limits` keeps everybody away until then.
"""

from __future__ import annotations

import psycopg

_PAUSE = """
SELECT format('%%s is left alone until %%s UTC: %%s', provider,
              to_char(paused_until, 'YYYY-MM-DD HH24:MI'), pause_reason)
FROM market.providers WHERE provider = %s AND paused_until IS NOT NULL
"""


def pause_of(connection: psycopg.Connection, provider: str) -> str | None:
    """Return, in words, until when a provider is left alone and why; None if it may be asked."""
    row = connection.execute(_PAUSE, [provider]).fetchone()
    return str(row[0]) if row else None

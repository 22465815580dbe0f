"""The PostgreSQL store: server, connections, migrations, writing and reading."""

"""Market-data providers: one protocol, one capability table, one error tree."""

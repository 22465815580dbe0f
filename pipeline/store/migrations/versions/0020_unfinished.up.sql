-- Which months are finished, so that those that are not are found without reading all.
ALTER TABLE ledger.coverage ADD finished boolean NOT NULL GENERATED ALWAYS AS (
    settled = answered AND open <@ (settled + unavailable)) STORED;
COMMENT ON COLUMN ledger.coverage.finished IS 'Whether all answered minutes are settled, and all open ones answered or unavailable; PostgreSQL keeps it.';
CREATE INDEX coverage_unfinished ON ledger.coverage (listing_id, month) WHERE NOT finished;

-- What Dagster was told of months, so that it is told again when they have changed since.
CREATE TABLE ledger.shown (
    listing_id integer NOT NULL REFERENCES ledger.listing (id) ON DELETE CASCADE,
    month      date NOT NULL CHECK (month = date_trunc('month', month)),
    at         timestamptz NOT NULL,
    PRIMARY KEY (listing_id, month)
);
COMMENT ON TABLE ledger.shown IS 'The months of which Dagster shows a partition as materialized.';
COMMENT ON COLUMN ledger.shown.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.shown.month IS 'First day of the month, UTC.';
COMMENT ON COLUMN ledger.shown.at IS 'When the ledger was as it is shown: later than coverage.updated_at, unless the month has changed since.';
-- Nobody knows what was shown so far: it counts as all.
INSERT INTO ledger.shown (listing_id, month, at) SELECT listing_id, month, now() FROM ledger.coverage;

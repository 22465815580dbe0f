-- What the files of archives were when they were last looked at.

CREATE TABLE ledger.archive_version (
    listing_id integer NOT NULL REFERENCES ledger.listing (id),
    month      date NOT NULL CHECK (extract(day FROM month) = 1),
    version    text NOT NULL,
    noticed_at timestamptz NOT NULL,
    PRIMARY KEY (listing_id, month)
);
COMMENT ON TABLE ledger.archive_version IS 'What the files that hold a listing''s month were when they were last looked at. When they change, the month is unsettled and asked again.';
COMMENT ON COLUMN ledger.archive_version.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.archive_version.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.archive_version.version IS 'Hash of the names, sizes and times of the files, and of how they are declared to be read.';
COMMENT ON COLUMN ledger.archive_version.noticed_at IS 'When they were first seen to be like that.';

-- Settling in steps, giving up, and refused deliveries that can be accepted.

CREATE TABLE ledger.settling (
    listing_id integer NOT NULL,
    month      date NOT NULL,
    delay      interval NOT NULL CHECK (delay > interval '0'),
    checked    tstzmultirange NOT NULL CHECK (NOT isempty(checked)),
    PRIMARY KEY (listing_id, month, delay),
    FOREIGN KEY (listing_id, month) REFERENCES ledger.coverage
);
COMMENT ON TABLE ledger.settling IS 'How far minutes that are answered, but not settled yet, have come: one row for each delay but the last. Of what is settled nothing is left here.';
COMMENT ON COLUMN ledger.settling.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.settling.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.settling.delay IS 'One of the provider''s settling delays; the last one is ledger.coverage.settled.';
COMMENT ON COLUMN ledger.settling.checked IS 'Minutes answered at least that long after their end, and not settled yet.';
COMMENT ON COLUMN ledger.coverage.settled IS 'Answered minutes that were answered later after their end than the last settling delay, so that they are final.';

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

ALTER TABLE ledger.fetch_failure ADD COLUMN given_up text;
UPDATE ledger.fetch_failure SET given_up = error || ' does not pass by itself: somebody has to act'
WHERE next_attempt_at IS NULL;
ALTER TABLE ledger.fetch_failure
    ADD CONSTRAINT fetch_failure_due_or_given_up CHECK ((given_up IS NULL) = (next_attempt_at IS NOT NULL));
COMMENT ON COLUMN ledger.fetch_failure.next_attempt_at IS 'When it is due again; null when it is given up.';
COMMENT ON COLUMN ledger.fetch_failure.given_up IS 'Why it is not asked for any more, unless a person does; null while it is.';

CREATE OR REPLACE VIEW market.failures AS
SELECT l.provider, l.key AS listing, l.symbol, lower(f.during) AS since, upper(f.during) AS before, f.error, f.message,
       f.attempts, f.first_failed_at, f.last_failed_at, f.next_attempt_at, f.given_up
FROM ledger.fetch_failure f JOIN ledger.listing l ON l.id = f.listing_id;
COMMENT ON COLUMN market.failures.next_attempt_at IS 'When it is due again; null when it is given up.';
COMMENT ON COLUMN market.failures.given_up IS 'Why it is not asked for any more, unless a person does; null while it is.';

CREATE OR REPLACE VIEW market.revisions AS
SELECT l.provider, l.key AS listing, l.symbol, r.ts, r.seen_at,
       r.old_open, r.new_open, r.old_high, r.new_high, r.old_low, r.new_low, r.old_close, r.new_close,
       r.old_volume, r.new_volume, r.old_vwap, r.new_vwap, r.old_trades, r.new_trades, r.id AS revision
FROM ledger.bar_revision r JOIN ledger.listing l ON l.id = r.listing_id;
COMMENT ON COLUMN market.revisions.revision IS 'Number of the revision. Of one bar, a later one has a greater number.';

CREATE TABLE ledger.refused_delivery (
    id            bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    listing_id    integer NOT NULL REFERENCES ledger.listing,
    month         date NOT NULL,
    answered      tstzmultirange NOT NULL CHECK (NOT isempty(answered)),
    received_at   timestamptz NOT NULL,
    delays        interval[] NOT NULL,
    delivered     integer NOT NULL,
    compared      integer NOT NULL,
    contradicting integer NOT NULL,
    explanation   text,
    bars          bytea NOT NULL,
    accepted_at   timestamptz
);
CREATE INDEX refused_delivery_cell ON ledger.refused_delivery (listing_id, month);
COMMENT ON TABLE ledger.refused_delivery IS 'Deliveries that contradicted too many stored bars. Nothing of them is stored until somebody accepts them.';
COMMENT ON COLUMN ledger.refused_delivery.id IS 'Number to accept it by.';
COMMENT ON COLUMN ledger.refused_delivery.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.refused_delivery.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.refused_delivery.answered IS 'The minutes that it answers. Of what is not accepted, no two overlap: the latest is kept.';
COMMENT ON COLUMN ledger.refused_delivery.received_at IS 'When it came.';
COMMENT ON COLUMN ledger.refused_delivery.delays IS 'The settling delays of its provider then.';
COMMENT ON COLUMN ledger.refused_delivery.delivered IS 'Number of bars in it.';
COMMENT ON COLUMN ledger.refused_delivery.compared IS 'Number of stored bars in its minutes.';
COMMENT ON COLUMN ledger.refused_delivery.contradicting IS 'Number of those that came back different or not at all.';
COMMENT ON COLUMN ledger.refused_delivery.explanation IS 'What would explain it; null when nothing was found.';
COMMENT ON COLUMN ledger.refused_delivery.bars IS 'Its bars, as an Arrow IPC stream compressed with zstd.';
COMMENT ON COLUMN ledger.refused_delivery.accepted_at IS 'When somebody accepted it, so that it was stored; null while it is refused.';

CREATE VIEW market.refused_deliveries AS
SELECT l.provider, l.key AS listing, l.symbol, d.id, lower(d.answered) AS since, upper(d.answered) AS before,
       d.received_at, d.delivered, d.compared, d.contradicting, d.explanation, d.accepted_at
FROM ledger.refused_delivery d JOIN ledger.listing l ON l.id = d.listing_id;
COMMENT ON VIEW market.refused_deliveries IS 'Deliveries that contradicted too many stored bars. Nothing of them is stored until somebody accepts them.';
COMMENT ON COLUMN market.refused_deliveries.provider IS 'The provider.';
COMMENT ON COLUMN market.refused_deliveries.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.refused_deliveries.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.refused_deliveries.id IS 'Number to accept it by.';
COMMENT ON COLUMN market.refused_deliveries.since IS 'First minute that it answers, UTC.';
COMMENT ON COLUMN market.refused_deliveries.before IS 'First minute after those that it answers, UTC.';
COMMENT ON COLUMN market.refused_deliveries.received_at IS 'When it came.';
COMMENT ON COLUMN market.refused_deliveries.delivered IS 'Number of bars in it.';
COMMENT ON COLUMN market.refused_deliveries.compared IS 'Number of stored bars in its minutes.';
COMMENT ON COLUMN market.refused_deliveries.contradicting IS 'Number of those that came back different or not at all.';
COMMENT ON COLUMN market.refused_deliveries.explanation IS 'What would explain it; null when nothing was found.';
COMMENT ON COLUMN market.refused_deliveries.accepted_at IS 'When somebody accepted it, so that it was stored; null while it is refused.';

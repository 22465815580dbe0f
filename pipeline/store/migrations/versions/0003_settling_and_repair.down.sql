-- Settling in steps, giving up, and refused deliveries that can be accepted. (undone)

DROP VIEW market.refused_deliveries;
DROP TABLE ledger.refused_delivery;

DROP VIEW market.revisions;
CREATE VIEW market.revisions AS
SELECT l.provider, l.key AS listing, l.symbol, r.ts, r.seen_at,
       r.old_open, r.new_open, r.old_high, r.new_high, r.old_low, r.new_low, r.old_close, r.new_close,
       r.old_volume, r.new_volume, r.old_vwap, r.new_vwap, r.old_trades, r.new_trades
FROM ledger.bar_revision r JOIN ledger.listing l ON l.id = r.listing_id;
COMMENT ON VIEW market.revisions IS 'Stored bars that the provider later gave differently. All new values null: it gave none, and the stored bar stays.';
COMMENT ON COLUMN market.revisions.provider IS 'The provider.';
COMMENT ON COLUMN market.revisions.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.revisions.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.revisions.ts IS 'The minute, UTC.';
COMMENT ON COLUMN market.revisions.seen_at IS 'When the different answer arrived.';
COMMENT ON COLUMN market.revisions.old_open IS 'open before.';
COMMENT ON COLUMN market.revisions.new_open IS 'open now.';
COMMENT ON COLUMN market.revisions.old_high IS 'high before.';
COMMENT ON COLUMN market.revisions.new_high IS 'high now.';
COMMENT ON COLUMN market.revisions.old_low IS 'low before.';
COMMENT ON COLUMN market.revisions.new_low IS 'low now.';
COMMENT ON COLUMN market.revisions.old_close IS 'close before.';
COMMENT ON COLUMN market.revisions.new_close IS 'close now.';
COMMENT ON COLUMN market.revisions.old_volume IS 'volume before.';
COMMENT ON COLUMN market.revisions.new_volume IS 'volume now.';
COMMENT ON COLUMN market.revisions.old_vwap IS 'vwap before.';
COMMENT ON COLUMN market.revisions.new_vwap IS 'vwap now.';
COMMENT ON COLUMN market.revisions.old_trades IS 'trades before.';
COMMENT ON COLUMN market.revisions.new_trades IS 'trades now.';

DROP VIEW market.failures;
CREATE VIEW market.failures AS
SELECT l.provider, l.key AS listing, l.symbol, lower(f.during) AS since, upper(f.during) AS before, f.error, f.message,
       f.attempts, f.first_failed_at, f.last_failed_at, f.next_attempt_at
FROM ledger.fetch_failure f JOIN ledger.listing l ON l.id = f.listing_id;
COMMENT ON VIEW market.failures IS 'Ranges that were asked for and not properly answered.';
COMMENT ON COLUMN market.failures.provider IS 'The provider.';
COMMENT ON COLUMN market.failures.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.failures.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.failures.since IS 'First minute of the range, UTC.';
COMMENT ON COLUMN market.failures.before IS 'First minute after the range, UTC.';
COMMENT ON COLUMN market.failures.error IS 'Class of the error.';
COMMENT ON COLUMN market.failures.message IS 'What was wrong and what to do.';
COMMENT ON COLUMN market.failures.attempts IS 'How often it has failed in a row.';
COMMENT ON COLUMN market.failures.first_failed_at IS 'When it first failed.';
COMMENT ON COLUMN market.failures.last_failed_at IS 'When it last failed.';
COMMENT ON COLUMN market.failures.next_attempt_at IS 'When it is due again; null when somebody has to act first.';

-- What was given up after many attempts is due again: then, only permanent errors were.
UPDATE ledger.fetch_failure SET given_up = NULL, next_attempt_at = last_failed_at
WHERE given_up LIKE '% attempts in a row failed';
ALTER TABLE ledger.fetch_failure DROP CONSTRAINT fetch_failure_due_or_given_up, DROP COLUMN given_up;
COMMENT ON COLUMN ledger.fetch_failure.next_attempt_at IS 'When it is due again; null when somebody has to act first.';

DROP TABLE ledger.settling;
COMMENT ON COLUMN ledger.coverage.settled IS 'Answered minutes that were answered late enough to be final.';

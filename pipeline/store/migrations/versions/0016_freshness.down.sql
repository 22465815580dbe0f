DROP VIEW market.freshness;
DROP FUNCTION ledger.now;
ALTER TABLE ledger.stale DROP noted_at;
ALTER TABLE ledger.unconsolidated DROP noted_at;
ALTER TABLE ledger.provider DROP lag, DROP refresh;
COMMENT ON TABLE ledger.provider IS 'Providers that have been asked something.';

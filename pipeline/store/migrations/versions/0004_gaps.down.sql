-- Gaps, with the reason of each and the evidence for it (undone).

DROP FUNCTION market.quiet_gaps;
DROP VIEW market.silences;
DROP VIEW market.gaps;
DROP FUNCTION ledger.silences;
DROP FUNCTION ledger.month_of;
DROP TABLE ledger.gap;
DROP INDEX ledger.coverage_unjudged;
ALTER TABLE ledger.coverage DROP COLUMN judged, DROP COLUMN silences;

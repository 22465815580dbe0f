SELECT ledger.drop_consolidated(name) FROM ledger.timeframe;
DROP VIEW market.consolidated_segments, market.consolidated_1m;
DROP TRIGGER gap_unconsolidated ON ledger.gap;
DROP TRIGGER listing_unconsolidated ON ledger.listing;
DROP TRIGGER new_listing_unconsolidated ON ledger.listing;
DROP TRIGGER instrument_unconsolidated ON ledger.instrument;
DROP TABLE ledger.segment, ledger.unconsolidated, ledger.combined_1m;
DROP FUNCTION ledger.note_outage, ledger.note_order, ledger.note_listing, ledger.note_instrument, ledger.note_all, ledger.delivered,
    ledger.ensure_combined_month, ledger.add_consolidated, ledger.drop_consolidated;
DROP INDEX ledger.listing_instrument;
ALTER TABLE ledger.listing DROP COLUMN rank;
ALTER TABLE ledger.instrument DROP COLUMN method, DROP COLUMN session;

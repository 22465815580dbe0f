-- The providers' market lists (undone).

DROP VIEW market.market_changes;
DROP VIEW market.markets;
DROP TABLE ledger.market_change;
DROP TABLE ledger.market;

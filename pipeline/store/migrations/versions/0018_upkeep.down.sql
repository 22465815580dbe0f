DROP VIEW market.sizes, market.error_rates, market.deep_checks;
DROP TABLE ledger.size, ledger.deep_check;

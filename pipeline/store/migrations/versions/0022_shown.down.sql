DROP TABLE ledger.shown;

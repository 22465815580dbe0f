ALTER TABLE ledger.coverage DROP finished;

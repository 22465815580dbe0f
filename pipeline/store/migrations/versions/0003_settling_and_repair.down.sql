-- Settling in steps, giving up, and refused deliveries that can be accepted. (undone)

DROP TABLE ledger.settling;
COMMENT ON COLUMN ledger.coverage.settled IS 'Answered minutes that were answered late enough to be final.';

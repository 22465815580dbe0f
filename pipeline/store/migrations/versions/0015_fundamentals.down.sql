DROP VIEW market.fundamentals, market.fundamentals_fields, market.fundamentals_snapshots, market.fundamentals_values, market.fundamentals_dictionary;
DROP FUNCTION market.fundamentals_asof, ledger.fundamentals_at, ledger.make_fundamentals_view;
DROP TABLE ledger.fundamental, ledger.field, ledger.pruning, ledger.pruned_payload, ledger.snapshot_check, ledger.snapshot_refusal, ledger.snapshot_value,
    ledger.snapshot, ledger.subject;

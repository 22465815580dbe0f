SELECT ledger.drop_timeframe(name) FROM ledger.timeframe;
DROP TRIGGER coverage_stale ON ledger.coverage;
DROP TRIGGER listing_stale ON ledger.listing;
DROP FUNCTION ledger.note_answers, ledger.note_life, ledger.add_timeframe, ledger.drop_timeframe, ledger.ensure_bars_year;

CREATE OR REPLACE FUNCTION ledger.ensure_bars_month(month date) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'bars_1m_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('ledger.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    -- Keeps two writers from making the same table, and no reader or writer of bars waits for it. An
    -- advisory lock would not do: only a lock on a relation shows what others have made meanwhile.
    LOCK TABLE ledger.bars_1m IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('ledger.' || name) IS NULL THEN
        -- Attaching a finished table locks out no reader; CREATE TABLE ... PARTITION OF would.
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.bars_1m INCLUDING ALL)', name);
        EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', name,
                       '1-minute bars of ' || to_char(month, 'YYYY-MM') || '.');
        EXECUTE format('ALTER TABLE ledger.bars_1m ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                       name, month::timestamp AT TIME ZONE 'UTC',
                       (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END IF;
    RETURN name;
END $$;

DROP FUNCTION ledger.ensure_partition;
DROP TABLE ledger.timeframe, ledger.stale, ledger.trading_day;

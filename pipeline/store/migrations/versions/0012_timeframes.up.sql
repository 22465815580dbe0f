-- Bars above a minute, built wherever minutes have changed.

CREATE TABLE ledger.trading_day (
    session text NOT NULL REFERENCES ledger.session,
    day     date NOT NULL,
    since   timestamptz NOT NULL,
    before  timestamptz NOT NULL CHECK (before > since),
    PRIMARY KEY (session, day)
);
CREATE INDEX trading_day_since ON ledger.trading_day (session, since);
COMMENT ON TABLE ledger.trading_day IS 'Days of trading: bars of a day and below are anchored to them. Where markets never close they are the days of UTC.';
COMMENT ON COLUMN ledger.trading_day.session IS 'The session.';
COMMENT ON COLUMN ledger.trading_day.day IS 'The date that the market gives it.';
COMMENT ON COLUMN ledger.trading_day.since IS 'Its first minute, UTC.';
COMMENT ON COLUMN ledger.trading_day.before IS 'The end of its last minute, UTC; there may be breaks in between.';
INSERT INTO ledger.trading_day (session, day, since, before)
SELECT name, day::date, day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'
FROM ledger.session CROSS JOIN generate_series(first::timestamp, last + interval '1 month' - interval '1 day', interval '1 day') AS day
WHERE name = '24x7';

CREATE TABLE ledger.stale (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    listing_id integer NOT NULL REFERENCES ledger.listing,
    during     tstzmultirange NOT NULL CHECK (NOT isempty(during))
);
CREATE INDEX stale_listing ON ledger.stale (listing_id);
COMMENT ON TABLE ledger.stale IS 'Minutes above which bars have to be built anew. Added to in the transaction that changes the minutes, so that no change is forgotten, however old its minute is.';
COMMENT ON COLUMN ledger.stale.id IS 'Internal number.';
COMMENT ON COLUMN ledger.stale.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.stale.during IS 'Minutes whose bars, or answers, have changed; UTC.';

CREATE FUNCTION ledger.note_answers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed constant tstzmultirange := (NEW.answered - OLD.answered) + (OLD.answered - NEW.answered)
                                       + NEW.answered * ((NEW.open - OLD.open) + (OLD.open - NEW.open));
BEGIN
    IF NOT isempty(changed) THEN
        INSERT INTO ledger.stale (listing_id, during) VALUES (NEW.listing_id, changed);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_answers IS 'Note minutes that were answered, or are open, or no longer are.';
CREATE TRIGGER coverage_stale AFTER UPDATE ON ledger.coverage FOR EACH ROW
WHEN (OLD.answered <> NEW.answered OR OLD.open <> NEW.open) EXECUTE FUNCTION ledger.note_answers();

CREATE FUNCTION ledger.note_life() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.stale (listing_id, during)
    SELECT NEW.id, tstzmultirange(tstzrange(least(OLD.first_trade, NEW.first_trade),
                                            greatest(OLD.first_trade, NEW.first_trade) + interval '1 minute'))
    WHERE OLD.first_trade IS DISTINCT FROM NEW.first_trade
    UNION ALL
    SELECT NEW.id, range_agg(answered) FROM ledger.coverage
    WHERE listing_id = NEW.id AND NOT isempty(answered) AND OLD.session <> NEW.session HAVING count(*) > 0;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_life IS 'Note minutes of which more or fewer are expected, because a listing has another first trade or session.';
CREATE TRIGGER listing_stale AFTER UPDATE ON ledger.listing FOR EACH ROW
WHEN (OLD.first_trade IS DISTINCT FROM NEW.first_trade OR OLD.session <> NEW.session) EXECUTE FUNCTION ledger.note_life();

CREATE TABLE ledger.timeframe (
    name text PRIMARY KEY
);
COMMENT ON TABLE ledger.timeframe IS 'The timeframes that are built; each has a table ledger.bars_NAME and a view market.bars_NAME.';
COMMENT ON COLUMN ledger.timeframe.name IS 'Name of the timeframe, as in 5m or 1d.';

CREATE FUNCTION ledger.ensure_partition(parent text, name text, since timestamp, before timestamp, comment text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('ledger.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    -- Keeps two writers from making the same table, and no reader or writer of bars waits for it. An
    -- advisory lock would not do: only a lock on a relation shows what others have made meanwhile.
    EXECUTE format('LOCK TABLE ledger.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass('ledger.' || name) IS NULL THEN
        -- Attaching a finished table locks out no reader; CREATE TABLE ... PARTITION OF would.
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING ALL)', name, parent);
        EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', name, comment);
        EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, name, since AT TIME ZONE 'UTC', before AT TIME ZONE 'UTC');
    END IF;
    RETURN name;
END $$;
COMMENT ON FUNCTION ledger.ensure_partition IS 'Make the partition of a table of bars for some time of UTC if it is not there; return its table name.';

CREATE OR REPLACE FUNCTION ledger.ensure_bars_month(month date) RETURNS text LANGUAGE sql AS $$
    SELECT ledger.ensure_partition('bars_1m', 'bars_1m_' || to_char(month, 'YYYY_MM'), month::timestamp,
                                   month + interval '1 month', '1-minute bars of ' || to_char(month, 'YYYY-MM') || '.')
$$;

CREATE FUNCTION ledger.ensure_bars_year(timeframe text, year integer) RETURNS text LANGUAGE sql AS $$
    SELECT ledger.ensure_partition('bars_' || timeframe, format('bars_%s_%s', timeframe, year), make_date(year, 1, 1)::timestamp,
                                   make_date(year + 1, 1, 1)::timestamp, format('Bars of %s of %s.', timeframe, year))
$$;
COMMENT ON FUNCTION ledger.ensure_bars_year IS 'Make the partition of a timeframe below a day for a year of UTC if it is not there; return its table name.';

CREATE FUNCTION ledger.add_timeframe(timeframe_name text, partitioned boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bars constant text := 'bars_' || timeframe_name;
    relation text;
    said record;
BEGIN
    INSERT INTO ledger.timeframe (name) VALUES (timeframe_name);
    EXECUTE format($ddl$
        CREATE TABLE ledger.%I (
            listing_id       integer NOT NULL,
            ts               timestamptz NOT NULL,
            before           timestamptz NOT NULL,
            session_date     date NOT NULL,
            open             double precision NOT NULL,
            high             double precision NOT NULL,
            low              double precision NOT NULL,
            close            double precision NOT NULL,
            volume           double precision,
            vwap             double precision,
            trades           bigint,
            minutes_expected integer NOT NULL,
            minutes_present  integer NOT NULL,
            complete         boolean NOT NULL,
            PRIMARY KEY (listing_id, ts)
        ) %s $ddl$, bars, CASE WHEN partitioned THEN 'PARTITION BY RANGE (ts)' END);
    EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', bars, format('Bars of %s, built from minutes.', timeframe_name));
    EXECUTE format('COMMENT ON COLUMN ledger.%I.listing_id IS %L', bars,
                   'The listing; not a foreign key, because checking it would cost every written bar.');
    EXECUTE format($ddl$
        CREATE VIEW market.%I AS
        SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.before, b.session_date, b.open, b.high, b.low, b.close,
               b.volume, b.vwap, b.trades, b.minutes_expected, b.minutes_present, b.complete
        FROM ledger.%I b JOIN ledger.listing l ON l.id = b.listing_id $ddl$, bars, bars);
    EXECUTE format('COMMENT ON VIEW market.%I IS %L', bars, format(
        'Bars of %s, built from the 1-minute bars of the regular session. There is one where at least one minute has one; nothing is filled.',
        timeframe_name));
    FOR said IN SELECT * FROM (VALUES
        ('provider', 'The provider.'),
        ('listing', 'Name of the listing among its provider''s.'),
        ('symbol', 'The provider''s symbol.')
    ) AS named(field, meaning) LOOP
        EXECUTE format('COMMENT ON COLUMN market.%I.%I IS %L', bars, said.field, said.meaning);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['ledger', 'market'] LOOP
        FOR said IN SELECT * FROM (VALUES
            ('ts', 'Start of the bar, UTC.'),
            ('before', 'End of the bar, UTC, not part of it; before that it is not known.'),
            ('session_date', 'Date of its day of trading; of 1w the Monday, of 1mo and 1y the first day.'),
            ('open', 'First price, unadjusted.'),
            ('high', 'Highest price, unadjusted.'),
            ('low', 'Lowest price, unadjusted.'),
            ('close', 'Last price, unadjusted.'),
            ('volume', 'Traded amount in base units; null when a minute of it does not report it.'),
            ('vwap', 'Volume-weighted average price; null when a minute of it does not report it.'),
            ('trades', 'Number of trades; null when a minute of it does not report it.'),
            ('minutes_expected', 'Minutes of the whole bar in which the market was open, since the first trade.'),
            ('minutes_present', 'Those of them with a 1-minute bar.'),
            ('complete', 'Whether the provider has answered for all of them: the ones without a bar had no trade.')
        ) AS named(field, meaning) LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', relation, bars, said.field, said.meaning);
        END LOOP;
    END LOOP;
    INSERT INTO ledger.stale (listing_id, during)
    SELECT listing_id, range_agg(answered) FROM ledger.coverage WHERE NOT isempty(answered) GROUP BY listing_id;
END $$;
COMMENT ON FUNCTION ledger.add_timeframe IS 'Make table and view of a timeframe, with a partition a year or without, and have its bars built.';

CREATE FUNCTION ledger.drop_timeframe(timeframe_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ledger.timeframe WHERE name = timeframe_name;
    EXECUTE format('DROP VIEW market.%I', 'bars_' || timeframe_name);
    EXECUTE format('DROP TABLE ledger.%I', 'bars_' || timeframe_name);
END $$;
COMMENT ON FUNCTION ledger.drop_timeframe IS 'Remove a timeframe that is no longer wanted, with its bars.';

SELECT ledger.add_timeframe(name, partitioned) FROM (VALUES
    ('5m', true), ('15m', true), ('30m', true), ('1h', true), ('4h', true), ('1d', false), ('1w', false), ('1mo', false)
) AS usual(name, partitioned);

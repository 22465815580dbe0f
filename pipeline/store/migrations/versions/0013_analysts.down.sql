DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')) THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) TO PUBLIC;
    END IF;
END $$;

CREATE OR REPLACE VIEW market.gaps AS
WITH session AS MATERIALIZED (
    SELECT session AS name, range_agg(open) AS open,
           tstzmultirange(tstzrange(min(month)::timestamp AT TIME ZONE 'UTC',
                                    (max(month) + interval '1 month') AT TIME ZONE 'UTC')) - range_agg(open) AS closed
    FROM ledger.session_month GROUP BY session
), life AS (
    SELECT l.id, l.starts_at, l.first_trade, l.first_trade_evidence, l.in_universe, l.standby, session.open,
           CASE WHEN l.standby IS NULL THEN tstzmultirange(
                    tstzrange(greatest(l.starts_at, l.first_trade),
                              greatest(greatest(l.starts_at, l.first_trade),
                                       least(l.ends_at, date_trunc('minute', now(), 'UTC')))))
                ELSE coalesce((SELECT range_agg(wanted) FROM ledger.need n WHERE n.listing_id = l.id), '{}') END AS wanted
    FROM ledger.listing l JOIN session ON session.name = l.session
), gap AS (
    SELECT g.listing_id, tstzmultirange(g.during) AS ranges, 'empty' AS state, g.reason,
           concat_ws('; ', nullif(g.company, ''), g.habit) AS evidence,
           NULL::integer AS attempts, NULL::text AS error, NULL::timestamptz AS next_attempt_at
    FROM ledger.gap g
    UNION ALL
    SELECT f.listing_id, tstzmultirange(f.during) - explained.ranges, 'failed', 'failed', f.message, f.attempts,
           f.error, f.next_attempt_at
    FROM ledger.fetch_failure f
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.answered + c.unavailable), '{}') AS ranges FROM ledger.coverage c
        WHERE c.listing_id = f.listing_id
          AND c.month BETWEEN ledger.month_of(lower(f.during)) AND ledger.month_of(upper(f.during))
    ) AS explained
    UNION ALL
    SELECT c.listing_id, range_agg(c.unavailable), 'unavailable', 'history_limit',
           'the provider no longer served these minutes when they were to be asked for', NULL, NULL, NULL
    FROM ledger.coverage c WHERE c.unavailable <> '{}' GROUP BY c.listing_id
    UNION ALL
    SELECT life.id, life.wanted * life.open - explained.ranges - failed.ranges, 'pending', 'pending',
           'not asked for yet', NULL, NULL, NULL
    FROM life
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.answered + c.unavailable), '{}') AS ranges FROM ledger.coverage c
        WHERE c.listing_id = life.id
    ) AS explained
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(f.during), '{}') AS ranges FROM ledger.fetch_failure f WHERE f.listing_id = life.id
    ) AS failed
    WHERE life.in_universe
    UNION ALL
    SELECT id, tstzmultirange(tstzrange(starts_at, first_trade)), 'not_expected', 'not_listed', first_trade_evidence,
           NULL, NULL, NULL
    FROM life WHERE in_universe AND standby IS NULL AND first_trade > starts_at
)
SELECT l.provider, l.key AS listing, l.symbol, lower(run.minutes) AS since, upper(run.minutes) AS before,
       ledger.minutes(run.minutes) AS minutes,
       gap.state, gap.reason, gap.evidence, gap.attempts, gap.error, gap.next_attempt_at
FROM gap JOIN ledger.listing l ON l.id = gap.listing_id JOIN session ON session.name = l.session
CROSS JOIN LATERAL ledger.runs(gap.ranges * session.open, session.closed) AS run(minutes);

DROP FUNCTION market.bars_1m_filled, market.listing_id, ledger.show_timeframe;
ALTER FUNCTION ledger.drop_timeframe RESET lock_timeout;

CREATE OR REPLACE FUNCTION ledger.add_timeframe(timeframe_name text, partitioned boolean) RETURNS void LANGUAGE plpgsql AS $$
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

CREATE FUNCTION pg_temp.put_back(view text, query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    about constant text := obj_description(view::regclass);
    fields constant text[] := ARRAY(
        SELECT format('COMMENT ON COLUMN %s.%I IS %L', view, attname, col_description(attrelid, attnum)) FROM pg_attribute
        WHERE attrelid = view::regclass AND attnum > 0 AND attname <> 'listing_id'
          AND (attname <> 'instrument' OR view = 'market.listings'));
    field text;
BEGIN
    EXECUTE format('DROP VIEW %s', view);
    EXECUTE format('CREATE VIEW %s AS %s', view, query);
    EXECUTE format('COMMENT ON VIEW %s IS %L', view, about);
    FOREACH field IN ARRAY fields LOOP
        EXECUTE field;
    END LOOP;
END $$;
SELECT pg_temp.put_back('market.listings', $view$
    SELECT l.provider, l.key AS listing, i.key AS instrument, i.asset_class, l.symbol, l.session,
           l.starts_at, l.ends_at, l.first_trade, l.first_trade_evidence, l.in_universe, l.standby
    FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id $view$);
SELECT pg_temp.put_back('market.bars_1m', $view$
    SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
           NOT b.ts <@ s.open AS extended
    FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id
    LEFT JOIN ledger.session_month s ON s.session = l.session AND s.month = ledger.month_of(b.ts) $view$);
SELECT pg_temp.put_back(format('market.%I', 'bars_' || name), format($view$
    SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.before, b.session_date, b.open, b.high, b.low, b.close,
           b.volume, b.vwap, b.trades, b.minutes_expected, b.minutes_present, b.complete
    FROM ledger.%I b JOIN ledger.listing l ON l.id = b.listing_id $view$, 'bars_' || name))
FROM ledger.timeframe;
DROP FUNCTION pg_temp.put_back;
DO $$
DECLARE
    dates regclass;
BEGIN
    FOR dates IN
        SELECT c.oid FROM ledger.timeframe JOIN pg_class c ON c.relname = format('bars_%s_session_date_idx', name)
        WHERE c.relnamespace = 'ledger'::regnamespace
    LOOP
        EXECUTE format('DROP INDEX %s', dates);
    END LOOP;
END $$;

-- What analysts read: fast, filled on demand, and nothing else.

CREATE OR REPLACE VIEW market.listings AS
SELECT l.provider, l.key AS listing, i.key AS instrument, i.asset_class, l.symbol, l.session,
       l.starts_at, l.ends_at, l.first_trade, l.first_trade_evidence, l.in_universe, l.standby, l.id AS listing_id
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id;
COMMENT ON COLUMN market.listings.listing_id IS 'Its number in this database, as in the views of bars.';

CREATE FUNCTION market.listing_id(provider text, listing text) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    found integer := (SELECT l.listing_id FROM market.listings l
                      WHERE l.provider = listing_id.provider AND l.listing = listing_id.listing);
BEGIN
    IF found IS NULL THEN
        RAISE 'there is no listing % of %; SELECT provider, listing FROM market.listings names all',
              coalesce(listing, 'NULL'), coalesce(provider, 'NULL');
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION market.listing_id IS 'The number of a listing in this database. A query of bars by it, ordered by ts and with a LIMIT, reads no more than it returns; by provider and listing it would read all of the listing first.';

-- Outer joins, though no bar lacks these: what a query does not name is then not read. The listing is joined
-- inner, so that all bars of one minute can be looked up listing by listing.
CREATE OR REPLACE VIEW market.bars_1m AS
SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       NOT b.ts <@ s.open AS extended, i.key AS instrument, b.listing_id
FROM ledger.bars_1m b
JOIN ledger.listing l ON l.id = b.listing_id
LEFT JOIN ledger.instrument i ON i.id = l.instrument_id
LEFT JOIN ledger.session_month s ON s.session = l.session AND s.month = ledger.month_of(b.ts);
COMMENT ON COLUMN market.bars_1m.instrument IS 'The instrument that is listed.';
COMMENT ON COLUMN market.bars_1m.listing_id IS 'Number of the listing in this database; see market.listing_id().';

CREATE FUNCTION ledger.show_timeframe(timeframe_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bars constant text := 'bars_' || timeframe_name;
    said record;
BEGIN
    EXECUTE format($ddl$
        CREATE OR REPLACE VIEW market.%I AS
        SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.before, b.session_date, b.open, b.high, b.low, b.close,
               b.volume, b.vwap, b.trades, b.minutes_expected, b.minutes_present, b.complete, i.key AS instrument, b.listing_id
        FROM ledger.%I b
        JOIN ledger.listing l ON l.id = b.listing_id
        LEFT JOIN ledger.instrument i ON i.id = l.instrument_id $ddl$, bars, bars);
    EXECUTE format('COMMENT ON VIEW market.%I IS %L', bars, format(
        'Bars of %s, built from the 1-minute bars of the regular session. There is one where at least one minute has one; nothing is filled.',
        timeframe_name));
    FOR said IN
        SELECT attname AS field, col_description(attrelid, attnum) AS meaning
        FROM pg_attribute
        WHERE attrelid = to_regclass(format('ledger.%I', bars)) AND attnum > 0 AND attname <> 'listing_id'
        UNION ALL VALUES
            ('provider', 'The provider.'),
            ('listing', 'Name of the listing among its provider''s.'),
            ('symbol', 'The provider''s symbol.'),
            ('instrument', 'The instrument that is listed.'),
            ('listing_id', 'Number of the listing in this database; see market.listing_id().')
    LOOP
        EXECUTE format('COMMENT ON COLUMN market.%I.%I IS %L', bars, said.field, said.meaning);
    END LOOP;
END $$;
COMMENT ON FUNCTION ledger.show_timeframe IS 'Make the view of a timeframe, whose table is there.';

CREATE OR REPLACE FUNCTION ledger.add_timeframe(timeframe_name text, partitioned boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bars constant text := 'bars_' || timeframe_name;
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
    FOR said IN SELECT * FROM (VALUES
        ('listing_id', 'The listing; not a foreign key, because checking it would cost every written bar.'),
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
        EXECUTE format('COMMENT ON COLUMN ledger.%I.%I IS %L', bars, said.field, said.meaning);
    END LOOP;
    IF NOT partitioned THEN
        EXECUTE format('CREATE INDEX ON ledger.%I (session_date)', bars);
    END IF;
    PERFORM ledger.show_timeframe(timeframe_name);
    INSERT INTO ledger.stale (listing_id, during)
    SELECT listing_id, range_agg(answered) FROM ledger.coverage WHERE NOT isempty(answered) GROUP BY listing_id;
END $$;
SELECT ledger.show_timeframe(name) FROM ledger.timeframe;
DO $$
DECLARE
    bars regclass;
BEGIN
    FOR bars IN
        SELECT c.oid FROM ledger.timeframe JOIN pg_class c ON c.relname = 'bars_' || name
        WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r'
    LOOP
        EXECUTE format('CREATE INDEX ON %s (session_date)', bars);
    END LOOP;
END $$;

-- Whoever waits to drop a view that is being read keeps all others from reading it meanwhile.
ALTER FUNCTION ledger.drop_timeframe SET lock_timeout = '3s';

CREATE FUNCTION market.bars_1m_filled(
    provider text, listing text, since timestamptz, before timestamptz, max_minutes integer DEFAULT 60)
RETURNS TABLE (ts timestamptz, open double precision, high double precision, low double precision, close double precision,
               volume double precision, vwap double precision, trades bigint, filled boolean, bar_ts timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1440 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH asked AS (
        SELECT market.listing_id(bars_1m_filled.provider, bars_1m_filled.listing) AS id,
               make_interval(mins => greatest(coalesce(max_minutes, 60), 0)) AS longest,
               interval '1 minute' AS minute
    ), run AS (
        -- A price is carried from minute to minute, and so over no minute that is closed or was not answered.
        SELECT asked.*, run
        FROM asked CROSS JOIN LATERAL (
            SELECT range_agg(c.answered * c.open) AS minutes FROM ledger.coverage c
            WHERE c.listing_id = id
              AND c.month >= coalesce(ledger.month_of(bars_1m_filled.since - longest), '-infinity')
              AND c.month <= coalesce(ledger.month_of(bars_1m_filled.before), 'infinity')
        ) AS known CROSS JOIN LATERAL unnest(known.minutes) AS run
    ), bar AS (
        SELECT run.id, run.minute, b.*,
               least(lead(b.ts) OVER (PARTITION BY run ORDER BY b.ts), upper(run), b.ts + longest + minute,
                     bars_1m_filled.before) AS until
        FROM run JOIN ledger.bars_1m b
          ON b.listing_id = run.id AND b.ts >= greatest(lower(run), bars_1m_filled.since - longest)
         AND b.ts < least(upper(run), bars_1m_filled.before)
    )
    SELECT filled.ts, CASE WHEN filled.ts = bar.ts THEN bar.open ELSE bar.close END,
           CASE WHEN filled.ts = bar.ts THEN bar.high ELSE bar.close END,
           CASE WHEN filled.ts = bar.ts THEN bar.low ELSE bar.close END, bar.close,
           CASE WHEN filled.ts = bar.ts THEN bar.volume ELSE 0 END,
           CASE WHEN filled.ts = bar.ts THEN bar.vwap END,
           CASE WHEN filled.ts = bar.ts THEN bar.trades ELSE 0 END,
           filled.ts > bar.ts, bar.ts
    FROM bar
    CROSS JOIN LATERAL (
        SELECT min(greatest(bar.ts + minute, lower(g.during))) AS since FROM ledger.gap g
        WHERE g.listing_id = bar.id AND bar.until > bar.ts + minute AND g.during && tstzrange(bar.ts, bar.until)
    ) AS broken
    CROSS JOIN LATERAL generate_series(bar.ts, least(bar.until, broken.since) - minute, minute) AS filled(ts)
    WHERE filled.ts >= coalesce(bars_1m_filled.since, '-infinity')
    ORDER BY filled.ts;
END;
COMMENT ON FUNCTION market.bars_1m_filled IS 'The 1-minute bars of one listing that begin in [since, before), where minutes of the regular session without a trade have the close before them as open, high, low and close, volume 0, trades 0 and no vwap: filled says which, and bar_ts whose close it is. Filled are at most max_minutes minutes after a bar (60 if nothing is said), never a minute that was not answered or that lies in an outage or a halt, and nothing after such a minute, before the first bar, or from one session to the next. Bars outside of the regular session are left out.';
REVOKE ALL ON FUNCTION market.bars_1m_filled FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.bars_1m_filled TO analyst;

-- Each listing by itself, so that the gaps of one cost one listing's. (What each row says is as before.)
CREATE OR REPLACE VIEW market.gaps AS
WITH session AS MATERIALIZED (
    SELECT session AS name, range_agg(open) AS open,
           tstzmultirange(tstzrange(min(month)::timestamp AT TIME ZONE 'UTC',
                                    (max(month) + interval '1 month') AT TIME ZONE 'UTC')) - range_agg(open) AS closed
    FROM ledger.session_month GROUP BY session
)
SELECT l.provider, l.key AS listing, l.symbol, lower(run.minutes) AS since, upper(run.minutes) AS before,
       ledger.minutes(run.minutes) AS minutes,
       gap.state, gap.reason, gap.evidence, gap.attempts, gap.error, gap.next_attempt_at
FROM ledger.listing l JOIN session ON session.name = l.session
CROSS JOIN LATERAL (
    SELECT tstzmultirange(g.during) AS ranges, 'empty' AS state, g.reason,
           concat_ws('; ', nullif(g.company, ''), g.habit) AS evidence,
           NULL::integer AS attempts, NULL::text AS error, NULL::timestamptz AS next_attempt_at
    FROM ledger.gap g WHERE g.listing_id = l.id
    UNION ALL
    SELECT tstzmultirange(f.during) - explained.ranges, 'failed', 'failed', f.message, f.attempts,
           f.error, f.next_attempt_at
    FROM ledger.fetch_failure f
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.answered + c.unavailable), '{}') AS ranges FROM ledger.coverage c
        WHERE c.listing_id = l.id
          AND c.month BETWEEN ledger.month_of(lower(f.during)) AND ledger.month_of(upper(f.during))
    ) AS explained
    WHERE f.listing_id = l.id
    UNION ALL
    SELECT range_agg(c.unavailable), 'unavailable', 'history_limit',
           'the provider no longer served these minutes when they were to be asked for', NULL, NULL, NULL
    FROM ledger.coverage c WHERE c.listing_id = l.id AND c.unavailable <> '{}' HAVING count(*) > 0
    UNION ALL
    SELECT CASE WHEN l.standby IS NULL THEN tstzmultirange(
                    tstzrange(greatest(l.starts_at, l.first_trade),
                              greatest(greatest(l.starts_at, l.first_trade),
                                       least(l.ends_at, date_trunc('minute', now(), 'UTC')))))
                ELSE coalesce((SELECT range_agg(wanted) FROM ledger.need n WHERE n.listing_id = l.id), '{}') END * session.open
           - coalesce((SELECT range_agg(c.answered + c.unavailable) FROM ledger.coverage c WHERE c.listing_id = l.id), '{}')
           - coalesce((SELECT range_agg(f.during) FROM ledger.fetch_failure f WHERE f.listing_id = l.id), '{}'),
           'pending', 'pending', 'not asked for yet', NULL, NULL, NULL
    WHERE l.in_universe
    UNION ALL
    SELECT tstzmultirange(tstzrange(l.starts_at, l.first_trade)), 'not_expected', 'not_listed', l.first_trade_evidence,
           NULL, NULL, NULL
    WHERE l.in_universe AND l.standby IS NULL AND l.first_trade > l.starts_at
) AS gap
CROSS JOIN LATERAL ledger.runs(gap.ranges * session.open, session.closed) AS run(minutes);

-- Everybody may make temporary tables in a database, and large objects, unless told otherwise.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')) THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
    END IF;
END $$;

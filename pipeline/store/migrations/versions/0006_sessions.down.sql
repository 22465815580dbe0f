-- When markets are open: the minutes to expect. (undone)

DROP VIEW market.session_revisions, market.sessions, market.bars_1m, market.coverage;
CREATE OR REPLACE VIEW market.gaps AS
WITH life AS (
    SELECT l.id, l.starts_at, l.first_trade, l.first_trade_evidence, l.in_universe,
           tstzrange(greatest(l.starts_at, l.first_trade),
                     greatest(greatest(l.starts_at, l.first_trade),
                              least(l.ends_at, date_trunc('minute', now(), 'UTC')))) AS wanted
    FROM ledger.listing l
), gap AS (
    SELECT g.listing_id, g.during, 'empty' AS state, g.reason,
           concat_ws('; ', nullif(g.company, ''), g.habit) AS evidence,
           NULL::integer AS attempts, NULL::text AS error, NULL::timestamptz AS next_attempt_at
    FROM ledger.gap g
    UNION ALL
    SELECT f.listing_id, piece, 'failed', 'failed', f.message, f.attempts, f.error, f.next_attempt_at
    FROM ledger.fetch_failure f
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.answered + c.unavailable), '{}') AS ranges FROM ledger.coverage c
        WHERE c.listing_id = f.listing_id
          AND c.month BETWEEN ledger.month_of(lower(f.during)) AND ledger.month_of(upper(f.during))
    ) AS explained
    CROSS JOIN LATERAL unnest(tstzmultirange(f.during) - explained.ranges) AS piece
    UNION ALL
    SELECT c.listing_id, piece, 'unavailable', 'history_limit',
           'the provider no longer served these minutes when they were to be asked for', NULL, NULL, NULL
    FROM (SELECT listing_id, range_agg(unavailable) AS ranges FROM ledger.coverage
          WHERE unavailable <> '{}' GROUP BY listing_id) AS c
    CROSS JOIN LATERAL unnest(c.ranges) AS piece
    UNION ALL
    SELECT life.id, piece, 'pending', 'pending', 'not asked for yet', NULL, NULL, NULL
    FROM life
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.answered + c.unavailable), '{}') AS ranges FROM ledger.coverage c
        WHERE c.listing_id = life.id
    ) AS explained
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(f.during), '{}') AS ranges FROM ledger.fetch_failure f WHERE f.listing_id = life.id
    ) AS failed
    CROSS JOIN LATERAL unnest(tstzmultirange(life.wanted) - explained.ranges - failed.ranges) AS piece
    WHERE life.in_universe
    UNION ALL
    SELECT id, tstzrange(starts_at, first_trade), 'not_expected', 'not_listed', first_trade_evidence, NULL, NULL, NULL
    FROM life WHERE in_universe AND first_trade > starts_at
)
SELECT l.provider, l.key AS listing, l.symbol, lower(gap.during) AS since, upper(gap.during) AS before,
       (extract(epoch FROM upper(gap.during) - lower(gap.during)) / 60)::bigint AS minutes,
       gap.state, gap.reason, gap.evidence, gap.attempts, gap.error, gap.next_attempt_at
FROM gap JOIN ledger.listing l ON l.id = gap.listing_id;
COMMENT ON VIEW market.gaps IS 'Minutes without a bar that need action or explanation, as the longest runs of one reason. Minutes without a trade are many; market.quiet_gaps lists them.';
COMMENT ON COLUMN market.gaps.minutes IS 'Its length.';
DROP FUNCTION ledger.runs;

CREATE OR REPLACE FUNCTION ledger.silences(listing integer, touching_since timestamptz, touching_before timestamptz)
RETURNS TABLE (since timestamptz, before timestamptz) LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000 AS $$
DECLARE
    -- A silence is whole only from the bar before it to the bar after it.
    first_month date := coalesce(ledger.month_of(
        (SELECT max(ts) FROM ledger.bars_1m WHERE listing_id = listing AND ts < touching_since)), '-infinity');
    last_month date := coalesce(ledger.month_of(
        (SELECT min(ts) FROM ledger.bars_1m WHERE listing_id = listing AND ts >= touching_before)), 'infinity');
    minute CONSTANT interval := interval '1 minute';
    starts timestamptz;
    ends timestamptz;
    next_minute timestamptz;
BEGIN
    FOR starts, ends IN
        SELECT lower(piece), upper(piece) FROM unnest((
            SELECT range_agg(c.answered) FROM ledger.coverage c
            -- A month with a bar in each of its answered minutes need not be read.
            WHERE c.listing_id = listing AND c.month BETWEEN first_month AND last_month
              AND c.bars < ledger.minutes(c.answered))) AS piece
    LOOP
        since := starts;
        -- A loop takes two thirds of the time of lead() over the same rows.
        FOR before, next_minute IN
            SELECT ts, ts + minute FROM ledger.bars_1m
            WHERE listing_id = listing AND ts >= starts AND ts < ends ORDER BY ts
        LOOP
            IF before > since AND before > touching_since AND since < touching_before THEN
                RETURN NEXT;
            END IF;
            since := next_minute;
        END LOOP;
        before := ends;
        IF before > since AND before > touching_since AND since < touching_before THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION ledger.silences IS 'The longest runs of answered minutes without a bar that touch [touching_since, touching_before), whole, in order of time.';


CREATE OR REPLACE VIEW market.silences AS
SELECT l.provider, l.key AS listing, l.symbol, c.month, c.silences AS gaps,
       ledger.minutes(c.answered) - c.bars AS minutes,
       c.silences - coalesce(g.outages, 0) - coalesce(g.halts, 0) AS quiet_gaps,
       ledger.minutes(c.answered) - c.bars - coalesce(g.outage_minutes, 0) - coalesce(g.halt_minutes, 0) AS quiet_minutes,
       coalesce(g.outages, 0) AS outages, coalesce(g.outage_minutes, 0) AS outage_minutes,
       coalesce(g.halts, 0) AS halts, coalesce(g.halt_minutes, 0) AS halt_minutes, c.judged
FROM ledger.coverage c
JOIN ledger.listing l ON l.id = c.listing_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE g.reason = 'outage' AND lower(g.during) <@ whole.month) AS outages,
           count(*) FILTER (WHERE g.reason = 'halt' AND lower(g.during) <@ whole.month) AS halts,
           sum(ledger.minutes(tstzmultirange(g.during * whole.month))) FILTER (WHERE g.reason = 'outage') AS outage_minutes,
           sum(ledger.minutes(tstzmultirange(g.during * whole.month))) FILTER (WHERE g.reason = 'halt') AS halt_minutes
    FROM (SELECT tstzrange(c.month::timestamp AT TIME ZONE 'UTC',
                           (c.month + interval '1 month')::timestamp AT TIME ZONE 'UTC')) AS whole(month)
    JOIN ledger.gap g ON g.listing_id = c.listing_id AND g.during && whole.month
) AS g ON true;

DROP TRIGGER coverage_open ON ledger.coverage;
DROP FUNCTION ledger.open_month;
UPDATE ledger.coverage SET bars = bars + extended, judged = false WHERE extended > 0;
ALTER TABLE ledger.coverage
    DROP COLUMN answered_minutes, DROP COLUMN settled_minutes, DROP COLUMN unavailable_minutes,
    DROP COLUMN open, DROP COLUMN extended;
ALTER TABLE ledger.coverage
    ADD COLUMN answered_minutes    bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(answered)) STORED,
    ADD COLUMN settled_minutes     bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(settled)) STORED,
    ADD COLUMN unavailable_minutes bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(unavailable)) STORED;
COMMENT ON COLUMN ledger.coverage.answered_minutes IS 'Number of answered minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.settled_minutes IS 'Number of settled minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.unavailable_minutes IS 'Number of unavailable minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.listing.session IS 'When the market is open: 24x7.';
COMMENT ON COLUMN ledger.coverage.bars IS 'Number of stored bars in the month, kept in the transaction that writes them.';
COMMENT ON COLUMN market.listings.session IS 'When the market is open: 24x7.';
COMMENT ON COLUMN ledger.coverage.silences IS 'Number of runs of answered minutes without a bar that begin in the month; right when judged.';
ALTER TABLE ledger.listing DROP CONSTRAINT listing_session_fkey;
DROP TABLE ledger.session_revision, ledger.session_month, ledger.session;

CREATE VIEW market.coverage AS
WITH life AS (
    -- The minutes wanted of each listing so far: [since, before), empty if it has none.
    SELECT id, provider, key, symbol, greatest(starts_at, first_trade) AS since,
           greatest(starts_at, first_trade,
                    CASE WHEN in_universe THEN least(ends_at, date_trunc('minute', now(), 'UTC')) END) AS before
    FROM ledger.listing
)
SELECT provider, key AS listing, symbol, month, expected, bars, answered - bars AS empty, failed, unavailable,
       expected - answered - failed - unavailable AS pending,
       settled, round(100.0 * answered / nullif(expected, 0), 2) AS percent
FROM life CROSS JOIN LATERAL (
    SELECT month, coalesce(bars, 0) AS bars, coalesce(answered_minutes, 0) AS answered,
           coalesce(settled_minutes, 0) AS settled, coalesce(unavailable_minutes, 0) AS unavailable,
           -- A month that is wanted whole expects all its minutes, and one that is not wanted at all
           -- those that it has; the others take the algebra of ranges, a hundred times as slow.
           CASE WHEN since <= first_minute AND next_month <= before
                THEN 1440 * ((month + interval '1 month')::date - month)
                WHEN failed IS NULL AND (before <= first_minute OR next_month <= since)
                THEN coalesce(answered_minutes + unavailable_minutes, 0)
                ELSE ledger.minutes(tstzmultirange(tstzrange(first_minute, next_month))
                                        * (tstzmultirange(tstzrange(since, before)) + coalesce(failed, '{}'))
                                    + coalesce(answered + unavailable, '{}'))
           END AS expected,
           CASE WHEN failed IS NULL THEN 0
                ELSE ledger.minutes(tstzmultirange(tstzrange(first_minute, next_month)) * failed
                                    - coalesce(answered + unavailable, '{}'))
           END AS failed
    FROM (SELECT month::date AS month
          FROM generate_series(date_trunc('month', since, 'UTC') AT TIME ZONE 'UTC',
                               before AT TIME ZONE 'UTC', interval '1 month') AS month) AS lived
    FULL JOIN (SELECT * FROM ledger.coverage WHERE listing_id = life.id) AS covered USING (month)
    FULL JOIN (SELECT month::date AS month, range_agg(during) AS failed
               FROM ledger.fetch_failure,
                    generate_series(date_trunc('month', lower(during), 'UTC') AT TIME ZONE 'UTC',
                                    upper(during) AT TIME ZONE 'UTC' - interval '1 minute',
                                    interval '1 month') AS month
               WHERE listing_id = life.id
               GROUP BY 1) AS missed USING (month)
    CROSS JOIN LATERAL (SELECT month::timestamp AT TIME ZONE 'UTC' AS first_minute,
                               (month + interval '1 month') AT TIME ZONE 'UTC' AS next_month) AS bounds
    OFFSET 0  -- Else each count is worked out again wherever it is named.
) AS counted
WHERE expected > 0;
COMMENT ON VIEW market.coverage IS 'What became of every expected minute, per listing and month: expected = bars + empty + failed + unavailable + pending.';
COMMENT ON COLUMN market.coverage.provider IS 'The provider.';
COMMENT ON COLUMN market.coverage.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.coverage.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.coverage.month IS 'First day of the UTC month.';
COMMENT ON COLUMN market.coverage.expected IS 'Minutes of the listing''s life in that month, up to now.';
COMMENT ON COLUMN market.coverage.bars IS 'Minutes with a stored bar.';
COMMENT ON COLUMN market.coverage.empty IS 'Minutes that the provider answered without a bar.';
COMMENT ON COLUMN market.coverage.failed IS 'Minutes that were asked for and not properly answered.';
COMMENT ON COLUMN market.coverage.unavailable IS 'Minutes that the provider can no longer serve.';
COMMENT ON COLUMN market.coverage.pending IS 'Minutes not asked for yet.';
COMMENT ON COLUMN market.coverage.settled IS 'Answered minutes that are final.';
COMMENT ON COLUMN market.coverage.percent IS 'Answered minutes as a percentage of the expected ones.';

CREATE VIEW market.bars_1m AS
SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades
FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id;
COMMENT ON VIEW market.bars_1m IS '1-minute bars as the providers delivered them; minutes without a bar are explained in market.coverage.';
COMMENT ON COLUMN market.bars_1m.provider IS 'The provider.';
COMMENT ON COLUMN market.bars_1m.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.bars_1m.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.bars_1m.ts IS 'Start of the minute, UTC; the bar covers [ts, ts + 1 minute).';
COMMENT ON COLUMN market.bars_1m.open IS 'First price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.high IS 'Highest price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.low IS 'Lowest price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.close IS 'Last price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.volume IS 'Traded amount in base units; null when not reported.';
COMMENT ON COLUMN market.bars_1m.vwap IS 'Volume-weighted average price; null when not reported.';
COMMENT ON COLUMN market.bars_1m.trades IS 'Number of trades; null when not reported.';

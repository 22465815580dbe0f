-- Standby listings: asked only for what those before them failed to deliver. (undone)

DROP VIEW market.decisions, market.listings;
CREATE OR REPLACE VIEW market.coverage AS
WITH life AS (
    -- The minutes wanted of each listing so far: [since, before), empty if it has none.
    SELECT id, provider, key, symbol, session, greatest(starts_at, first_trade) AS since,
           greatest(starts_at, first_trade,
                    CASE WHEN in_universe THEN least(ends_at, date_trunc('minute', now(), 'UTC')) END) AS before
    FROM ledger.listing
)
SELECT provider, key AS listing, symbol, month, expected, bars, answered - bars AS empty, failed, unavailable,
       expected - answered - failed - unavailable AS pending,
       settled, round(100.0 * answered / nullif(expected, 0), 2) AS percent, extended
FROM life CROSS JOIN LATERAL (
    SELECT month, coalesce(bars, 0) AS bars, coalesce(answered_minutes, 0) AS answered,
           coalesce(settled_minutes, 0) AS settled, coalesce(unavailable_minutes, 0) AS unavailable,
           coalesce(extended, 0) AS extended,
           -- A month that is wanted whole expects all its minutes, and one that is not wanted at all
           -- those that it has; the others take the algebra of ranges, a hundred times as slow.
           CASE WHEN since <= first_minute AND next_month <= before
                THEN session.minutes
                WHEN failed IS NULL AND (before <= first_minute OR next_month <= since)
                THEN coalesce(answered_minutes + unavailable_minutes, 0)
                ELSE ledger.minutes((tstzmultirange(tstzrange(since, before)) + coalesce(failed, '{}')
                                     + coalesce(answered + unavailable, '{}')) * session.open)
           END AS expected,
           CASE WHEN failed IS NULL THEN 0
                ELSE ledger.minutes(session.open * failed - coalesce(answered + unavailable, '{}'))
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
    JOIN (SELECT month, open, minutes FROM ledger.session_month WHERE session = life.session) AS session USING (month)
    CROSS JOIN LATERAL (SELECT month::timestamp AT TIME ZONE 'UTC' AS first_minute,
                               (month + interval '1 month') AT TIME ZONE 'UTC' AS next_month) AS bounds
    OFFSET 0  -- Else each count is worked out again wherever it is named.
) AS counted
WHERE expected > 0 OR extended > 0;

CREATE OR REPLACE VIEW market.gaps AS
WITH session AS MATERIALIZED (
    SELECT session AS name, range_agg(open) AS open,
           tstzmultirange(tstzrange(min(month)::timestamp AT TIME ZONE 'UTC',
                                    (max(month) + interval '1 month') AT TIME ZONE 'UTC')) - range_agg(open) AS closed
    FROM ledger.session_month GROUP BY session
), life AS (
    SELECT l.id, l.starts_at, l.first_trade, l.first_trade_evidence, l.in_universe, session.open,
           tstzrange(greatest(l.starts_at, l.first_trade),
                     greatest(greatest(l.starts_at, l.first_trade),
                              least(l.ends_at, date_trunc('minute', now(), 'UTC')))) AS wanted
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
    SELECT life.id, tstzmultirange(life.wanted) * life.open - explained.ranges - failed.ranges, 'pending', 'pending',
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
    FROM life WHERE in_universe AND first_trade > starts_at
)
SELECT l.provider, l.key AS listing, l.symbol, lower(run.minutes) AS since, upper(run.minutes) AS before,
       ledger.minutes(run.minutes) AS minutes,
       gap.state, gap.reason, gap.evidence, gap.attempts, gap.error, gap.next_attempt_at
FROM gap JOIN ledger.listing l ON l.id = gap.listing_id JOIN session ON session.name = l.session
CROSS JOIN LATERAL ledger.runs(gap.ranges * session.open, session.closed) AS run(minutes);

DROP FUNCTION ledger.undelivered;
DROP TABLE ledger.decision, ledger.need;
ALTER TABLE ledger.provider DROP out_of_service;
ALTER TABLE ledger.listing DROP standby;

CREATE VIEW market.listings AS
SELECT l.provider, l.key AS listing, i.key AS instrument, i.asset_class, l.symbol, l.session,
       l.starts_at, l.ends_at, l.first_trade, l.first_trade_evidence, l.in_universe
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id;
COMMENT ON VIEW market.listings IS 'Instruments at providers.';
COMMENT ON COLUMN market.listings.provider IS 'The provider.';
COMMENT ON COLUMN market.listings.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.listings.instrument IS 'The instrument that is listed.';
COMMENT ON COLUMN market.listings.asset_class IS 'Asset class of the instrument.';
COMMENT ON COLUMN market.listings.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.listings.starts_at IS 'First minute wanted, UTC.';
COMMENT ON COLUMN market.listings.ends_at IS 'First minute no longer wanted, UTC.';
COMMENT ON COLUMN market.listings.first_trade IS 'First minute that the provider has, UTC.';
COMMENT ON COLUMN market.listings.first_trade_evidence IS 'How the first trade was found.';
COMMENT ON COLUMN market.listings.in_universe IS 'Whether it is still kept up to date.';
COMMENT ON COLUMN market.listings.session IS 'When its market is open; see market.sessions.';

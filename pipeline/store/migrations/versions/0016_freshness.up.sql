-- How far behind each listing is, by market time and by what its provider promises.

ALTER TABLE ledger.provider
    ADD lag     interval NOT NULL DEFAULT '10 seconds' CHECK (lag >= '0'),
    ADD refresh interval NOT NULL DEFAULT '15 minutes' CHECK (refresh > '0');
COMMENT ON TABLE ledger.provider IS 'Providers of the universe, and all that have been asked something.';
COMMENT ON COLUMN ledger.provider.lag IS 'How long after its end a minute may still be missing there, as the universe was last read.';
COMMENT ON COLUMN ledger.provider.refresh IS 'How long a minute that can be had may wait to be asked for, likewise.';
INSERT INTO ledger.provider (name) SELECT DISTINCT provider FROM ledger.listing ON CONFLICT DO NOTHING;

CREATE FUNCTION ledger.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('minuteledger.now', true), '')::timestamptz, now());
COMMENT ON FUNCTION ledger.now IS 'The present: that of the server, or the one that a session has set as minuteledger.now.';

ALTER TABLE ledger.stale ADD noted_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN ledger.stale.noted_at IS 'When it was noted, or when others of its listing were last taken.';
ALTER TABLE ledger.unconsolidated ADD noted_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN ledger.unconsolidated.noted_at IS 'When it was noted, or when others of its instrument were last taken.';

-- The tail: what comes after the newest answered minute, of the current and the previous month of UTC.
CREATE VIEW market.freshness AS
WITH clock AS MATERIALIZED (
    SELECT ledger.now() AS now, ledger.month_of(ledger.now()) AS month, ledger.month_of(ledger.now()) - interval '1 month' AS since
), provider AS MATERIALIZED (
    SELECT name, lag, refresh, date_trunc('minute', now - lag, 'UTC') AS final, now - lag - refresh - interval '1 minute' AS late
    FROM ledger.provider CROSS JOIN clock
), session AS MATERIALIZED (
    SELECT session AS name, range_agg(open) AS open FROM ledger.session_month CROSS JOIN clock
    WHERE session_month.month IN (clock.month, clock.since) GROUP BY session
)
SELECT l.provider, l.key AS listing, i.key AS instrument, l.id AS listing_id, p.refresh, known.until AS answered_until,
       -- Read in the newest month that has any, so that no other table of bars is looked at.
       (SELECT bar.ts FROM (
            SELECT c.month::timestamp AT TIME ZONE 'UTC' AS since, (c.month + interval '1 month') AT TIME ZONE 'UTC' AS before
            FROM ledger.coverage c WHERE c.listing_id = l.id AND c.bars + c.extended > 0 ORDER BY c.month DESC LIMIT 1
        ) AS newest CROSS JOIN LATERAL (
            SELECT b.ts FROM ledger.bars_1m b
            WHERE b.listing_id = l.id AND b.ts >= newest.since AND b.ts < newest.before ORDER BY b.ts DESC LIMIT 1
        ) AS bar) AS newest_bar,
       lower(tail.missing) AS stale_since, coalesce(ledger.minutes(tail.missing), 0) AS stale_minutes,
       lower(tail.missing - failure.ranges) AS unasked_since, failure.since AS failing_since, failure.message AS last_error,
       coalesce(lower(tail.missing) >= p.late, true) AS fresh
FROM ledger.listing l
JOIN ledger.instrument i ON i.id = l.instrument_id
JOIN provider p ON p.name = l.provider
JOIN session ON session.name = l.session
CROSS JOIN clock
LEFT JOIN LATERAL (
    SELECT upper(c.answered) AS until FROM ledger.coverage c
    WHERE c.listing_id = l.id AND NOT isempty(c.answered) ORDER BY c.month DESC LIMIT 1
) AS known ON true
CROSS JOIN LATERAL (
    SELECT since, greatest(since, least(l.ends_at, p.final)) AS before
    FROM greatest(l.starts_at, l.first_trade, known.until, clock.since AT TIME ZONE 'UTC') AS since
    OFFSET 0
) AS during
LEFT JOIN LATERAL (
    SELECT (CASE WHEN l.standby IS NULL THEN session.open ELSE needed.ranges END - coalesce(lost.ranges, '{}'))
           * tstzmultirange(tstzrange(during.since, during.before)) AS missing
    FROM (SELECT range_agg(n.wanted) AS ranges FROM ledger.need n
          WHERE n.listing_id = l.id AND n.month >= clock.since) AS needed
    CROSS JOIN (SELECT range_agg(c.unavailable) AS ranges FROM ledger.coverage c
                WHERE c.listing_id = l.id AND c.month >= clock.since) AS lost
    WHERE (l.ends_at <= p.final) IS NOT TRUE
    OFFSET 0
) AS tail ON NOT isempty(tail.missing)
LEFT JOIN LATERAL (
    SELECT coalesce(range_agg(f.during), '{}') AS ranges, min(f.first_failed_at) AS since,
           (array_agg(f.message ORDER BY f.last_failed_at DESC, f.id DESC))[1] AS message
    FROM ledger.fetch_failure f WHERE f.listing_id = l.id AND tail.missing && f.during
) AS failure ON true
WHERE l.in_universe;
COMMENT ON VIEW market.freshness IS 'How far behind each listing of the universe is: what is expected of it by now, after the newest answered minute and of this month and the last, and is not there. A listing that has ended is not behind.';
COMMENT ON COLUMN market.freshness.provider IS 'The provider.';
COMMENT ON COLUMN market.freshness.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.freshness.instrument IS 'The instrument that is listed.';
COMMENT ON COLUMN market.freshness.listing_id IS 'Its number: listing_id in the tables of bars.';
COMMENT ON COLUMN market.freshness.refresh IS 'How long a minute that can be had may wait to be asked for.';
COMMENT ON COLUMN market.freshness.answered_until IS 'First minute after the newest answered one, UTC; null if none was answered.';
COMMENT ON COLUMN market.freshness.newest_bar IS 'Start of the newest bar, UTC; null if there is none.';
COMMENT ON COLUMN market.freshness.stale_since IS 'The oldest minute that is expected, final by the provider''s lag and not answered, UTC; null if there is none.';
COMMENT ON COLUMN market.freshness.stale_minutes IS 'How many such minutes there are.';
COMMENT ON COLUMN market.freshness.unasked_since IS 'The oldest of them that has not failed either: it was not asked for; null if there is none.';
COMMENT ON COLUMN market.freshness.failing_since IS 'When one of them first failed, UTC; null if none did.';
COMMENT ON COLUMN market.freshness.last_error IS 'What was wrong the last time that one failed, and what to do; null if none did.';
COMMENT ON COLUMN market.freshness.fresh IS 'Whether no such minute has waited for longer than the provider''s refresh.';

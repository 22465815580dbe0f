-- Standby listings: asked only for what those before them failed to deliver.

ALTER TABLE ledger.listing ADD standby smallint CHECK (standby > 0);
COMMENT ON COLUMN ledger.listing.standby IS 'Null: everything is wanted of it. Else its turn among the standbys of its instrument: only what nobody before it delivered is wanted of it.';

ALTER TABLE ledger.provider ADD out_of_service text;
COMMENT ON COLUMN ledger.provider.out_of_service IS 'Why what is pending of it is asked of standbys: no keys, or it hardly answers; null while it serves.';

CREATE TABLE ledger.need (
    listing_id integer NOT NULL REFERENCES ledger.listing,
    month      date NOT NULL CHECK (extract(day FROM month) = 1),
    wanted     tstzmultirange NOT NULL CHECK (NOT isempty(wanted)),
    reason     text NOT NULL,
    PRIMARY KEY (listing_id, month)
);
COMMENT ON TABLE ledger.need IS 'What is wanted of standby listings.';
COMMENT ON COLUMN ledger.need.listing_id IS 'The standby.';
COMMENT ON COLUMN ledger.need.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.need.wanted IS 'Open minutes that nobody before it delivered, UTC.';
COMMENT ON COLUMN ledger.need.reason IS 'Who failed to deliver how many of them, and why.';

CREATE TABLE ledger.decision (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    provider   text NOT NULL,
    listing_id integer REFERENCES ledger.listing,
    decision   text NOT NULL,
    reason     text NOT NULL
);
CREATE INDEX decision_listing ON ledger.decision (listing_id, id);
COMMENT ON TABLE ledger.decision IS 'Who is asked for what, as it was decided; the latest of a subject holds.';
COMMENT ON COLUMN ledger.decision.id IS 'Internal number.';
COMMENT ON COLUMN ledger.decision.decided_at IS 'When.';
COMMENT ON COLUMN ledger.decision.provider IS 'The provider.';
COMMENT ON COLUMN ledger.decision.listing_id IS 'The listing; null when it is about all of the provider.';
COMMENT ON COLUMN ledger.decision.decision IS 'What was decided, in words.';
COMMENT ON COLUMN ledger.decision.reason IS 'Why, in words.';

CREATE FUNCTION ledger.undelivered(
    of_listing integer, of_month date,
    OUT failed tstzmultirange, OUT outage tstzmultirange, OUT unavailable tstzmultirange, OUT unserved tstzmultirange
) LANGUAGE sql STABLE AS $$
    SELECT (during.failed - explained.ranges) * wanted.ranges, during.outage * wanted.ranges,
           coalesce(c.unavailable, '{}') * wanted.ranges,
           CASE WHEN p.out_of_service IS NULL THEN '{}' ELSE wanted.ranges - explained.ranges - during.failed END
    FROM ledger.listing l
    JOIN ledger.session_month s ON s.session = l.session AND s.month = of_month
    LEFT JOIN ledger.provider p ON p.name = l.provider
    LEFT JOIN ledger.coverage c ON c.listing_id = l.id AND c.month = of_month
    LEFT JOIN ledger.need n ON n.listing_id = l.id AND n.month = of_month
    CROSS JOIN LATERAL (SELECT coalesce(c.answered + c.unavailable, '{}')) AS explained(ranges)
    CROSS JOIN LATERAL (SELECT greatest(l.starts_at, l.first_trade)) AS life(since)
    CROSS JOIN LATERAL (
        SELECT s.open * CASE WHEN l.standby IS NULL THEN tstzmultirange(tstzrange(
                            since, greatest(since, least(l.ends_at, date_trunc('minute', now(), 'UTC')))))
                        ELSE coalesce(n.wanted, '{}') END
    ) AS wanted(ranges)
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT range_agg(f.during) FROM ledger.fetch_failure f WHERE f.listing_id = l.id), '{}') AS failed,
               coalesce((SELECT range_agg(g.during) FROM ledger.gap g
                         WHERE g.listing_id = l.id AND g.reason = 'outage'), '{}') AS outage
    ) AS during
    WHERE l.id = of_listing
$$;
COMMENT ON FUNCTION ledger.undelivered IS 'The minutes of a month that a listing failed to deliver: asked for and not properly answered, answered empty in an outage, no longer served, or not asked for because its provider is out of service.';

CREATE OR REPLACE VIEW market.coverage AS
WITH life AS (
    -- The minutes wanted of each listing so far: [since, before), empty if it has none.
    SELECT id, provider, key, symbol, session, greatest(starts_at, first_trade) AS since,
           -- Nothing is wanted of a standby but what it is needed for.
           greatest(starts_at, first_trade, CASE WHEN in_universe AND standby IS NULL
                                                 THEN least(ends_at, date_trunc('minute', now(), 'UTC')) END) AS before
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
                WHEN failed IS NULL AND needed IS NULL AND (before <= first_minute OR next_month <= since)
                THEN coalesce(answered_minutes + unavailable_minutes, 0)
                ELSE ledger.minutes((tstzmultirange(tstzrange(since, before)) + coalesce(failed, '{}') + coalesce(needed, '{}')
                                     + coalesce(answered + unavailable, '{}')) * session.open)
           END AS expected,
           CASE WHEN failed IS NULL THEN 0
                ELSE ledger.minutes(session.open * failed - coalesce(answered + unavailable, '{}'))
           END AS failed
    FROM (SELECT month::date AS month
          FROM generate_series(date_trunc('month', since, 'UTC') AT TIME ZONE 'UTC',
                               before AT TIME ZONE 'UTC', interval '1 month') AS month) AS lived
    FULL JOIN (SELECT * FROM ledger.coverage WHERE listing_id = life.id) AS covered USING (month)
    FULL JOIN (SELECT month, wanted AS needed FROM ledger.need WHERE listing_id = life.id) AS need USING (month)
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

CREATE OR REPLACE VIEW market.listings AS
SELECT l.provider, l.key AS listing, i.key AS instrument, i.asset_class, l.symbol, l.session,
       l.starts_at, l.ends_at, l.first_trade, l.first_trade_evidence, l.in_universe, l.standby
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id;
COMMENT ON COLUMN market.listings.standby IS 'Null: everything is collected from it. Else its turn among the standbys of its instrument, which are asked only for what nobody before them delivered.';

CREATE VIEW market.decisions AS
SELECT d.decided_at, i.key AS instrument, d.provider, l.key AS listing, d.decision, d.reason
FROM ledger.decision d
LEFT JOIN ledger.listing l ON l.id = d.listing_id LEFT JOIN ledger.instrument i ON i.id = l.instrument_id;
COMMENT ON VIEW market.decisions IS 'Who is asked for what: primaries, standbys and what they are needed for, providers out of service.';
COMMENT ON COLUMN market.decisions.decided_at IS 'When it was decided.';
COMMENT ON COLUMN market.decisions.instrument IS 'The instrument; null when it is about all of a provider.';
COMMENT ON COLUMN market.decisions.provider IS 'The provider.';
COMMENT ON COLUMN market.decisions.listing IS 'Name of the listing among its provider''s; null likewise.';
COMMENT ON COLUMN market.decisions.decision IS 'What was decided.';
COMMENT ON COLUMN market.decisions.reason IS 'Why.';

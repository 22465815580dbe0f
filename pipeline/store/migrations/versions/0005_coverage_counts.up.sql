-- Coverage counted in advance, so that years of it are summed up at once.

ALTER TABLE ledger.coverage
    ADD COLUMN answered_minutes    bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(answered)) STORED,
    ADD COLUMN settled_minutes     bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(settled)) STORED,
    ADD COLUMN unavailable_minutes bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(unavailable)) STORED,
    ADD CONSTRAINT coverage_within_month
        CHECK (answered + unavailable <@ tstzrange(month::timestamp AT TIME ZONE 'UTC',
                                                   (month + interval '1 month') AT TIME ZONE 'UTC'));
COMMENT ON COLUMN ledger.coverage.answered_minutes IS 'Number of answered minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.settled_minutes IS 'Number of settled minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.unavailable_minutes IS 'Number of unavailable minutes; PostgreSQL keeps it.';
COMMENT ON CONSTRAINT coverage_within_month ON ledger.coverage IS
    'Ranges lie in their month, so that a month that is wanted whole expects exactly its own minutes.';

-- Its columns and their meaning are those of revision 0001, and so are their comments.
CREATE OR REPLACE VIEW market.coverage AS
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

-- Coverage counted in advance, so that years of it are summed up at once. (undone)

CREATE OR REPLACE VIEW market.coverage AS
WITH life AS (
    -- The minutes wanted of each listing so far, as one range.
    SELECT l.id, l.provider, l.key, l.symbol,
           tstzrange(greatest(l.starts_at, l.first_trade),
                     greatest(greatest(l.starts_at, l.first_trade),
                              least(l.ends_at, date_trunc('minute', now(), 'UTC')))) AS wanted,
           l.in_universe
    FROM ledger.listing l
), cell AS (
    SELECT life.id, month::date AS month
    FROM life, generate_series(date_trunc('month', lower(wanted), 'UTC') AT TIME ZONE 'UTC',
                               upper(wanted) AT TIME ZONE 'UTC', interval '1 month') AS month
    WHERE life.in_universe AND NOT isempty(wanted)
    UNION
    SELECT listing_id, month FROM ledger.coverage
    UNION
    SELECT f.listing_id, month::date
    FROM ledger.fetch_failure f,
         generate_series(date_trunc('month', lower(f.during), 'UTC') AT TIME ZONE 'UTC',
                         upper(f.during) AT TIME ZONE 'UTC' - interval '1 minute', interval '1 month') AS month
), ranges AS (
    SELECT cell.id, cell.month, life.provider, life.key, life.symbol,
           CASE WHEN life.in_universe THEN tstzmultirange(life.wanted) ELSE '{}' END
               * tstzmultirange(whole.month) AS wanted,
           coalesce(c.answered, '{}') AS answered, coalesce(c.settled, '{}') AS settled,
           coalesce(c.unavailable, '{}') AS unavailable, coalesce(c.bars, 0) AS bars,
           coalesce((SELECT range_agg(f.during) FROM ledger.fetch_failure f
                     WHERE f.listing_id = cell.id AND f.during && whole.month), '{}')
               * tstzmultirange(whole.month) AS failed
    FROM cell
    JOIN life ON life.id = cell.id
    CROSS JOIN LATERAL (SELECT tstzrange(cell.month::timestamp AT TIME ZONE 'UTC',
                                         (cell.month + interval '1 month')::timestamp AT TIME ZONE 'UTC')) AS whole(month)
    LEFT JOIN ledger.coverage c ON c.listing_id = cell.id AND c.month = cell.month
), counted AS (
    SELECT provider, key, symbol, month, bars,
           ledger.minutes(wanted + answered + unavailable + failed) AS expected,
           ledger.minutes(answered) AS answered,
           ledger.minutes(settled) AS settled,
           ledger.minutes(failed - answered - unavailable) AS failed,
           ledger.minutes(unavailable) AS unavailable,
           ledger.minutes(wanted - answered - unavailable - failed) AS pending
    FROM ranges
)
SELECT provider, key AS listing, symbol, month, expected, bars, answered - bars AS empty, failed, unavailable, pending,
       settled, round(100.0 * answered / nullif(expected, 0), 2) AS percent
FROM counted
WHERE expected > 0;

ALTER TABLE ledger.coverage
    DROP CONSTRAINT coverage_within_month,
    DROP COLUMN answered_minutes,
    DROP COLUMN settled_minutes,
    DROP COLUMN unavailable_minutes;

-- What every night finds out: how often settled history was changed, and what is stored.

CREATE TABLE ledger.deep_check (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    provider   text NOT NULL,
    at         timestamptz NOT NULL,
    ranges     integer NOT NULL CHECK (ranges >= 0),
    unanswered integer NOT NULL CHECK (unanswered BETWEEN 0 AND ranges),
    minutes    bigint NOT NULL CHECK (minutes >= 0),
    differing  bigint NOT NULL CHECK (differing >= 0),
    appeared   bigint NOT NULL CHECK (appeared >= 0),
    vanished   bigint NOT NULL CHECK (vanished >= 0),
    refused    integer NOT NULL CHECK (refused >= 0),
    requests   integer NOT NULL CHECK (requests >= 0),
    UNIQUE (provider, at),
    CHECK (differing + appeared + vanished <= minutes)
);
COMMENT ON TABLE ledger.deep_check IS 'Samples of settled minutes that were asked for again and compared with what is stored.';
COMMENT ON COLUMN ledger.deep_check.id IS 'Internal number.';
COMMENT ON COLUMN ledger.deep_check.provider IS 'The provider''s name in the universe.';
COMMENT ON COLUMN ledger.deep_check.at IS 'When it began, UTC.';
COMMENT ON COLUMN ledger.deep_check.ranges IS 'How many ranges of minutes were asked for.';
COMMENT ON COLUMN ledger.deep_check.unanswered IS 'How many of them had no proper answer; nothing follows from that.';
COMMENT ON COLUMN ledger.deep_check.minutes IS 'How many settled minutes were compared, with a bar or without.';
COMMENT ON COLUMN ledger.deep_check.differing IS 'In how many of them the bar has other values than the stored one.';
COMMENT ON COLUMN ledger.deep_check.appeared IS 'How many of them have a bar now and had none.';
COMMENT ON COLUMN ledger.deep_check.vanished IS 'How many of them had a bar and have none now; the stored one stays.';
COMMENT ON COLUMN ledger.deep_check.refused IS 'How many answers contradicted so much that they were refused whole.';
COMMENT ON COLUMN ledger.deep_check.requests IS 'How many requests were sent.';

CREATE VIEW market.deep_checks AS
SELECT provider, at, ranges, unanswered, minutes, differing, appeared, vanished, refused, requests,
       (differing + appeared + vanished)::double precision / nullif(minutes, 0) AS error_rate
FROM ledger.deep_check;
COMMENT ON VIEW market.deep_checks IS 'Samples of settled minutes of any age that were asked for again and compared with what is stored.';
COMMENT ON COLUMN market.deep_checks.provider IS 'The provider.';
COMMENT ON COLUMN market.deep_checks.at IS 'When it began, UTC.';
COMMENT ON COLUMN market.deep_checks.ranges IS 'How many ranges of minutes were asked for.';
COMMENT ON COLUMN market.deep_checks.unanswered IS 'How many of them had no proper answer; nothing follows from that.';
COMMENT ON COLUMN market.deep_checks.minutes IS 'How many settled minutes were compared, with a bar or without.';
COMMENT ON COLUMN market.deep_checks.differing IS 'In how many of them the bar has other values than the stored one.';
COMMENT ON COLUMN market.deep_checks.appeared IS 'How many of them have a bar now and had none.';
COMMENT ON COLUMN market.deep_checks.vanished IS 'How many of them had a bar and have none now; the stored one stays.';
COMMENT ON COLUMN market.deep_checks.refused IS 'How many answers contradicted so much that they were refused whole.';
COMMENT ON COLUMN market.deep_checks.requests IS 'How many requests were sent.';
COMMENT ON COLUMN market.deep_checks.error_rate IS 'The share of the compared minutes that are not as they were; null when none was compared.';

CREATE VIEW market.error_rates AS
WITH latest AS (
    SELECT *, row_number() OVER (PARTITION BY provider ORDER BY at DESC, id DESC) AS place FROM ledger.deep_check
), summed AS (
    SELECT provider, count(*) AS checks, min(at) AS since, sum(minutes)::bigint AS minutes, sum(differing)::bigint AS differing,
           sum(appeared)::bigint AS appeared, sum(vanished)::bigint AS vanished, sum(requests)::bigint AS requests,
           sum(minutes)::double precision AS n,
           sum(differing + appeared + vanished)::double precision / nullif(sum(minutes), 0) AS p
    FROM latest WHERE place <= 30 GROUP BY provider
)
SELECT provider, checks, since, minutes, differing, appeared, vanished, requests, p AS error_rate,
       greatest(0, (p + z2 / (2 * n) - margin) / (1 + z2 / n)) AS at_least,
       least(1, (p + z2 / (2 * n) + margin) / (1 + z2 / n)) AS at_most
FROM summed
CROSS JOIN LATERAL (SELECT 1.959963984540054 ^ 2 AS z2) AS normal
CROSS JOIN LATERAL (SELECT sqrt(z2 * (p * (1 - p) / nullif(n, 0) + z2 / (4 * n * nullif(n, 0)))) AS margin) AS spread
WHERE n > 0;
COMMENT ON VIEW market.error_rates IS 'How often each provider gave settled minutes differently later, by its last 30 deep checks.';
COMMENT ON COLUMN market.error_rates.provider IS 'The provider.';
COMMENT ON COLUMN market.error_rates.checks IS 'How many checks it is made of.';
COMMENT ON COLUMN market.error_rates.since IS 'When the first of them began, UTC.';
COMMENT ON COLUMN market.error_rates.minutes IS 'How many settled minutes were compared.';
COMMENT ON COLUMN market.error_rates.differing IS 'In how many of them the bar has other values than the stored one.';
COMMENT ON COLUMN market.error_rates.appeared IS 'How many of them have a bar now and had none.';
COMMENT ON COLUMN market.error_rates.vanished IS 'How many of them had a bar and have none now.';
COMMENT ON COLUMN market.error_rates.requests IS 'How many requests that took.';
COMMENT ON COLUMN market.error_rates.error_rate IS 'The share of the compared minutes that are not as they were.';
COMMENT ON COLUMN market.error_rates.at_least IS 'Lower end of its 95 % interval by Wilson, as if minutes differed independently of each other.';
COMMENT ON COLUMN market.error_rates.at_most IS 'Upper end of that interval.';

CREATE TABLE ledger.size (
    day      date NOT NULL,
    database text NOT NULL CHECK (database IN ('market', 'dagster')),
    relation text NOT NULL,
    bytes    bigint NOT NULL CHECK (bytes >= 0),
    rows     bigint NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (database, relation, day)
);
COMMENT ON TABLE ledger.size IS 'What the tables of both databases took, day by day; measured again on a day, the last one counts.';
COMMENT ON COLUMN ledger.size.day IS 'Day of UTC.';
COMMENT ON COLUMN ledger.size.database IS 'market: ours. dagster: Dagster''s own.';
COMMENT ON COLUMN ledger.size.relation IS 'The table, with its partitions.';
COMMENT ON COLUMN ledger.size.bytes IS 'What it took on disk, with indexes.';
COMMENT ON COLUMN ledger.size.rows IS 'How many rows it had, as PostgreSQL estimates.';

CREATE VIEW market.sizes AS
SELECT database, relation, day, bytes, rows,
       (bytes - lag(bytes) OVER earlier)::double precision / (day - lag(day) OVER earlier) AS bytes_a_day
FROM ledger.size
WINDOW earlier AS (PARTITION BY database, relation ORDER BY day);
COMMENT ON VIEW market.sizes IS 'What the tables of both databases took, day by day.';
COMMENT ON COLUMN market.sizes.database IS 'market: ours. dagster: Dagster''s own.';
COMMENT ON COLUMN market.sizes.relation IS 'The table, with its partitions.';
COMMENT ON COLUMN market.sizes.day IS 'Day of UTC.';
COMMENT ON COLUMN market.sizes.bytes IS 'What it took on disk, with indexes.';
COMMENT ON COLUMN market.sizes.rows IS 'How many rows it had, as PostgreSQL estimates.';
COMMENT ON COLUMN market.sizes.bytes_a_day IS 'How much it has grown a day since it was measured before; null the first time.';

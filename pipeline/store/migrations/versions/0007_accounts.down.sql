-- Limits that belong to an account, and more than one of them. (undone)
DROP VIEW market.providers, market.provider_health;
DROP FUNCTION ledger.begin_request, ledger.end_request, ledger.pause_account, ledger.lock_account, ledger.budget_wait, ledger.budget_left, ledger.budget_slot;
ALTER TABLE ledger.pause DROP account;
COMMENT ON TABLE ledger.pause IS 'When a provider asked us to stay away; everybody does.';
COMMENT ON COLUMN ledger.pause.provider IS 'The provider.';
ALTER TABLE ledger.provider DROP account;
DROP TABLE ledger.request, ledger.spending, ledger.account;

-- Unlogged: no request waits for a disk. A crash of the server empties the log, and `lock_provider`
-- sees that, because otherwise at least one row of every provider stays.
CREATE UNLOGGED TABLE ledger.request (
    id          uuid PRIMARY KEY,
    provider    text NOT NULL,
    weight      integer NOT NULL CHECK (weight >= 0),
    sent_at     timestamptz,
    answered_at timestamptz,
    backend     integer,
    CHECK (coalesce(sent_at, answered_at) IS NOT NULL)
);
CREATE INDEX request_provider ON ledger.request (provider);
CREATE INDEX request_of_others ON ledger.request (provider) WHERE sent_at IS NULL;
COMMENT ON TABLE ledger.request IS 'Requests that may still count against the limit of a provider, and at least one row of each provider.';
COMMENT ON COLUMN ledger.request.id IS 'Chosen by who sends it.';
COMMENT ON COLUMN ledger.request.provider IS 'The provider.';
COMMENT ON COLUMN ledger.request.weight IS 'What it costs of the limit.';
COMMENT ON COLUMN ledger.request.sent_at IS 'When it was let through; null for what others use of the limit, as the provider told it.';
COMMENT ON COLUMN ledger.request.answered_at IS 'When the answer came: by then at the latest the provider had counted it. Null while it is under way.';
COMMENT ON COLUMN ledger.request.backend IS 'Process id of the database session that sent it.';

CREATE FUNCTION ledger.lock_provider(provider_name text) RETURNS timestamptz
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.provider ' || provider_name, 0));
    IF NOT EXISTS (SELECT FROM ledger.request r WHERE r.provider = provider_name) THEN
        INSERT INTO ledger.provider (name) VALUES (provider_name) ON CONFLICT DO NOTHING;
        -- A provider that is known has lost its log in a crash: its limit may be used up entirely.
        INSERT INTO ledger.request (id, provider, weight, answered_at)
        VALUES (gen_random_uuid(), provider_name, CASE WHEN FOUND THEN 0 ELSE 2147483647 END, clock_timestamp());
    END IF;
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION ledger.lock_provider IS 'Let nobody else change what counts against a provider''s limit until the end of the transaction; return the time.';

CREATE FUNCTION ledger.begin_request(
    provider_name text, request_id uuid, cost integer, allowed integer, seconds double precision,
    OUT wait double precision, OUT pause double precision
) LANGUAGE plpgsql AS $$
DECLARE
    -- A little longer than it must be, for clocks do not all run equally fast.
    span    constant interval := make_interval(secs => seconds + 0.002);
    -- A request without an answer is under way no longer than this, whatever became of it.
    lost    constant interval := greatest(span, interval '120 s');
    moment  constant timestamptz := ledger.lock_provider(provider_name);
    used    bigint;
    next_at timestamptz;
    room_at timestamptz := moment;
BEGIN
    SELECT extract(epoch FROM max(upper(during)) - moment) INTO pause
    FROM ledger.pause WHERE provider = provider_name AND upper(during) > moment;
    pause := coalesce(pause, 0);
    -- Half of the even spacing lies between any two: token buckets hold less than a whole window.
    SELECT coalesce(sum(weight) FILTER (WHERE coalesce(answered_at + span, sent_at + lost) > moment), 0),
           max(sent_at + make_interval(secs => 0.5 * seconds / allowed * weight))
    INTO used, next_at
    FROM ledger.request WHERE provider = provider_name;
    IF used + cost > allowed THEN
        UPDATE ledger.request SET answered_at = moment
        WHERE provider = provider_name AND (
            answered_at > moment  -- the clock was set back
            OR answered_at IS NULL AND NOT EXISTS (
                SELECT FROM pg_stat_activity a
                WHERE a.pid = backend AND coalesce(a.backend_start <= sent_at, true)));
        -- What is under way frees its place one window from now at the earliest.
        SELECT min(frees_at) INTO room_at
        FROM (SELECT frees_at, sum(weight) OVER (ORDER BY frees_at, id) AS freed
              FROM (SELECT id, weight, coalesce(answered_at + span, least(moment + span, sent_at + lost)) AS frees_at
                    FROM ledger.request WHERE provider = provider_name) AS counted
              WHERE frees_at > moment) AS freeing
        WHERE freed >= used + cost - allowed;
    END IF;
    -- Nothing is spaced by more than half a window, even when the clock was set back.
    next_at := least(coalesce(next_at, moment), moment + span / 2);
    wait := greatest(0, pause, extract(epoch FROM greatest(next_at, room_at) - moment));
    IF wait = 0 THEN
        DELETE FROM ledger.request
        WHERE provider = provider_name AND coalesce(answered_at + span, sent_at + lost) <= moment;
        INSERT INTO ledger.request (id, provider, weight, sent_at, backend)
        VALUES (request_id, provider_name, cost, moment, pg_backend_pid())
        ON CONFLICT (id) DO UPDATE SET sent_at = excluded.sent_at, answered_at = NULL, backend = excluded.backend;
    END IF;
END $$;
COMMENT ON FUNCTION ledger.begin_request IS 'Count a request of a provider that allows so much weight in so many seconds, and return 0; or return how many seconds to wait before trying again, and how much of it the provider asked for.';

CREATE FUNCTION ledger.end_request(
    provider_name text, request_id uuid, cost integer, outcome_name text,
    latency double precision, ago double precision, skew double precision,
    reported_use integer, spare integer, counted_for double precision, kept interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment constant timestamptz := ledger.lock_provider(provider_name) - make_interval(secs => ago);
    since  constant timestamptz := moment - make_interval(secs => counted_for);
    begun  constant timestamptz := moment - make_interval(secs => latency);
    possible bigint;
    certain  bigint;
    fresh    boolean;
BEGIN
    -- A crash loses at most how the last second went; what counts is not in the log of the disk anyway.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO ledger.request (id, provider, weight, sent_at, answered_at, backend)
    VALUES (request_id, provider_name, cost, begun, moment, pg_backend_pid())
    ON CONFLICT (id) DO UPDATE SET answered_at = excluded.answered_at;

    INSERT INTO ledger.fetch_log AS known (provider, hour, outcome, bucket, requests)
    VALUES (provider_name, date_trunc('hour', moment, 'UTC'), outcome_name,
            floor(ln(greatest(1, latency * 1000)) / ln(1.2)), 1)
    ON CONFLICT (provider, hour, outcome, bucket) DO UPDATE SET requests = known.requests + 1
    RETURNING xmax = 0 INTO fresh;
    IF fresh THEN
        DELETE FROM ledger.fetch_log WHERE provider = provider_name AND hour < moment - kept;
    END IF;

    IF skew IS NOT NULL THEN
        UPDATE ledger.provider SET clock_skew = make_interval(secs => skew), clock_checked_at = moment
        WHERE name = provider_name
          AND (clock_checked_at > moment - interval '1 minute'
               AND abs(extract(epoch FROM clock_skew) - skew) <= 1) IS NOT TRUE;
    END IF;

    IF reported_use IS NOT NULL THEN
        -- Of our requests some may or may not be in the report. Somebody else uses the limit when all
        -- of them do not explain it; then only those are subtracted that are in it for sure.
        SELECT coalesce(sum(weight) FILTER (WHERE coalesce(answered_at > since - interval '1 s', true)), 0),
               coalesce(sum(weight) FILTER (WHERE id = request_id OR sent_at > since AND answered_at <= begun), 0)
        INTO possible, certain
        FROM ledger.request WHERE provider = provider_name AND sent_at IS NOT NULL;
        DELETE FROM ledger.request WHERE provider = provider_name AND sent_at IS NULL;
        IF reported_use > possible AND reported_use - certain > spare THEN
            INSERT INTO ledger.request (id, provider, weight, answered_at)
            VALUES (gen_random_uuid(), provider_name, reported_use - certain - spare, since);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION ledger.end_request IS 'Note that a request has ended so many seconds ago, after so many, and what the provider said of its clock (seconds ahead of ours) and of the use of its limit: the weight, what the limit has more than ours, and for how many seconds it has been counting.';

CREATE FUNCTION ledger.pause_provider(
    provider_name text, seconds double precision, is_ban boolean, why text, kept interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment constant timestamptz := ledger.lock_provider(provider_name);
BEGIN
    INSERT INTO ledger.pause (provider, during, ban, reason)
    VALUES (provider_name, tstzrange(moment, moment + make_interval(secs => seconds)), is_ban, why);
    DELETE FROM ledger.pause WHERE provider = provider_name AND upper(during) < moment - kept;
END $$;
COMMENT ON FUNCTION ledger.pause_provider IS 'Let no request of a provider through for so many seconds. A shorter pause never ends a longer one.';

CREATE VIEW market.provider_health AS
WITH asked AS (
    SELECT provider, hour, sum(requests)::bigint AS requests,
           coalesce(sum(requests) FILTER (WHERE outcome = 'answered'), 0)::bigint AS answered,
           coalesce(sum(requests) FILTER (WHERE outcome = 'RateLimited'), 0)::bigint AS refusals,
           array_agg(bucket) AS buckets, array_agg(requests) AS counts
    FROM ledger.fetch_log GROUP BY provider, hour
), paused AS (
    SELECT provider, hour, sum(extract(epoch FROM least(upper(piece), hour + interval '1 hour')
                                                - greatest(lower(piece), hour))) AS seconds
    FROM (SELECT provider, unnest(range_agg(during)) AS piece FROM ledger.pause GROUP BY provider) AS pauses
    CROSS JOIN LATERAL generate_series(date_trunc('hour', lower(piece), 'UTC'),
                                       least(upper(piece) - interval '1 microsecond', now()), interval '1 hour') AS hour
    GROUP BY provider, hour
), banned AS (
    SELECT provider, date_trunc('hour', lower(piece), 'UTC') AS hour, count(*) AS bans
    FROM (SELECT provider, unnest(range_agg(during)) AS piece FROM ledger.pause WHERE ban GROUP BY provider) AS bans
    GROUP BY 1, 2
)
SELECT provider, hour, coalesce(requests, 0) AS requests, round(100.0 * answered / requests, 2) AS success_percent,
       ledger.latency_ms(buckets, counts, 0.5) AS p50_ms, ledger.latency_ms(buckets, counts, 0.95) AS p95_ms,
       ledger.latency_ms(buckets, counts, 0.99) AS p99_ms, coalesce(refusals, 0) AS refusals,
       coalesce(requests - answered - refusals, 0) AS errors, coalesce(bans, 0) AS bans,
       coalesce(round(seconds), 0)::integer AS paused_seconds
FROM asked FULL JOIN paused USING (provider, hour) LEFT JOIN banned USING (provider, hour);
COMMENT ON VIEW market.provider_health IS 'How each provider has been answering, by the hour, for the last 90 days.';
COMMENT ON COLUMN market.provider_health.provider IS 'The provider.';
COMMENT ON COLUMN market.provider_health.hour IS 'Start of the UTC hour.';
COMMENT ON COLUMN market.provider_health.requests IS 'Requests that ended in that hour.';
COMMENT ON COLUMN market.provider_health.success_percent IS 'Answered requests as a percentage of all.';
COMMENT ON COLUMN market.provider_health.p50_ms IS 'Half of the requests took no longer, in milliseconds, to 10 percent.';
COMMENT ON COLUMN market.provider_health.p95_ms IS '95 percent of the requests took no longer, in milliseconds, to 10 percent.';
COMMENT ON COLUMN market.provider_health.p99_ms IS '99 percent of the requests took no longer, in milliseconds, to 10 percent.';
COMMENT ON COLUMN market.provider_health.refusals IS 'Requests refused because there were too many.';
COMMENT ON COLUMN market.provider_health.errors IS 'Requests that ended in any other error.';
COMMENT ON COLUMN market.provider_health.bans IS 'How often we were shut out, counted in the hour in which it began.';
COMMENT ON COLUMN market.provider_health.paused_seconds IS 'Seconds of that hour in which the provider wanted us to stay away.';

CREATE VIEW market.providers AS
SELECT p.name AS provider, pause.until AS paused_until, pause.reason AS pause_reason,
       extract(epoch FROM p.clock_skew)::double precision AS clock_skew_seconds, p.clock_checked_at
FROM ledger.provider p
LEFT JOIN LATERAL (SELECT upper(during) AS until, reason FROM ledger.pause
                   WHERE provider = p.name AND upper(during) > now() ORDER BY 1 DESC LIMIT 1) AS pause ON true;
COMMENT ON VIEW market.providers IS 'The providers that have been asked something, as they are now.';
COMMENT ON COLUMN market.providers.provider IS 'The provider.';
COMMENT ON COLUMN market.providers.paused_until IS 'Until when nothing is asked of it; null when it may be asked.';
COMMENT ON COLUMN market.providers.pause_reason IS 'What it said when it asked for that.';
COMMENT ON COLUMN market.providers.clock_skew_seconds IS 'How far its clock is ahead of ours; 0 when the difference is too small to be sure of; null when it does not say.';
COMMENT ON COLUMN market.providers.clock_checked_at IS 'When the clocks were last compared.';

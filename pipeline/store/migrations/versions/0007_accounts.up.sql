-- Limits that belong to an account, and more than one of them.

CREATE TABLE ledger.account (
    name text PRIMARY KEY
);
COMMENT ON TABLE ledger.account IS 'Who allows so many requests: an exchange or a kind of client, at one address. Several providers of the universe may share one.';
COMMENT ON COLUMN ledger.account.name IS 'The exchange or client, and the address if it is not its own; never a key.';

CREATE TABLE ledger.spending (
    account text NOT NULL REFERENCES ledger.account,
    slot    timestamptz NOT NULL,
    weight  bigint NOT NULL CHECK (weight > 0),
    PRIMARY KEY (account, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE ledger.spending IS 'What was spent of an account''s longer limit (so many a day), by short slots of time. Unlike the log of requests it survives a crash: a lost minute is waited for, a lost day is not.';
COMMENT ON COLUMN ledger.spending.account IS 'The account.';
COMMENT ON COLUMN ledger.spending.slot IS 'Start of the slot; it lasts for a hundredth of the limit''s time.';
COMMENT ON COLUMN ledger.spending.weight IS 'What was sent in it.';

-- What is in the log now is not of any account. A provider without a row in it counts as one whose log was lost in a crash.
DROP TABLE ledger.request;
CREATE UNLOGGED TABLE ledger.request (
    id          uuid PRIMARY KEY,
    account     text NOT NULL,
    weight      integer NOT NULL CHECK (weight >= 0),
    sent_at     timestamptz,
    answered_at timestamptz,
    backend     integer,
    CHECK (coalesce(sent_at, answered_at) IS NOT NULL)
);
CREATE INDEX request_account ON ledger.request (account);
CREATE INDEX request_of_others ON ledger.request (account) WHERE sent_at IS NULL;
COMMENT ON TABLE ledger.request IS 'Requests that may still count against the limit of an account, and at least one row of each account.';
COMMENT ON COLUMN ledger.request.id IS 'Chosen by who sends it.';
COMMENT ON COLUMN ledger.request.account IS 'The account.';
COMMENT ON COLUMN ledger.request.weight IS 'What it costs of the limit.';
COMMENT ON COLUMN ledger.request.sent_at IS 'When it was let through; null for what others use of the limit, as the provider told it.';
COMMENT ON COLUMN ledger.request.answered_at IS 'When the answer came: by then at the latest the provider had counted it. Null while it is under way.';
COMMENT ON COLUMN ledger.request.backend IS 'Process id of the database session that sent it.';

ALTER TABLE ledger.provider ADD account text REFERENCES ledger.account;
COMMENT ON COLUMN ledger.provider.account IS 'The account with which it was asked last; null if that was before there were accounts.';

ALTER TABLE ledger.pause ADD account text REFERENCES ledger.account;
CREATE INDEX pause_account_end ON ledger.pause (account, upper(during));
COMMENT ON TABLE ledger.pause IS 'When an account was asked to stay away; everybody does who uses it.';
COMMENT ON COLUMN ledger.pause.provider IS 'The provider that was told so.';
COMMENT ON COLUMN ledger.pause.account IS 'The account; null if the provider has not been asked since there are accounts.';

DROP FUNCTION ledger.begin_request, ledger.end_request, ledger.pause_provider, ledger.lock_provider;

CREATE FUNCTION ledger.lock_account(account_name text, provider_name text) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    is_new boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.account ' || account_name, 0));
    IF NOT EXISTS (SELECT FROM ledger.request r WHERE r.account = account_name) THEN
        INSERT INTO ledger.account (name) VALUES (account_name) ON CONFLICT DO NOTHING;
        is_new := FOUND;
        -- An account that is known has lost its log in a crash: its limit may be used up entirely. So may that of a
        -- provider that was asked before there were accounts.
        is_new := is_new AND NOT EXISTS (
            SELECT FROM ledger.provider p WHERE p.name = provider_name AND p.account IS NULL);
        INSERT INTO ledger.request (id, account, weight, answered_at)
        VALUES (gen_random_uuid(), account_name, CASE WHEN is_new THEN 0 ELSE 2147483647 END, clock_timestamp());
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.provider p WHERE p.name = provider_name AND p.account = account_name) THEN
        INSERT INTO ledger.provider AS known (name, account) VALUES (provider_name, account_name)
        ON CONFLICT (name) DO UPDATE SET account = excluded.account;
        UPDATE ledger.pause p SET account = account_name WHERE p.provider = provider_name AND p.account IS NULL;
    END IF;
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION ledger.lock_account IS 'Let nobody else change what counts against an account''s limits until the end of the transaction; note that a provider uses it; return the time.';

CREATE FUNCTION ledger.budget_slot(seconds double precision) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_interval(secs => seconds / 100);
COMMENT ON FUNCTION ledger.budget_slot IS 'How long a slot of ledger.spending lasts for a limit in so many seconds.';

CREATE FUNCTION ledger.budget_left(account_name text, budget bigint, seconds double precision, moment timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN budget - (SELECT coalesce(sum(weight), 0) FROM ledger.spending
                 WHERE account = account_name AND slot > moment - make_interval(secs => seconds) - 2 * ledger.budget_slot(seconds));
COMMENT ON FUNCTION ledger.budget_left IS 'What an account may still send of a budget in so many seconds, at a moment.';

CREATE FUNCTION ledger.budget_wait(
    account_name text, cost integer, budget bigint, seconds double precision, moment timestamptz
) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    -- A slot counts until its last moment is over for so long, and a slot longer: the provider counts a request
    -- between the send and the answer, nobody knows when.
    span constant interval := make_interval(secs => seconds) + 2 * ledger.budget_slot(seconds);
    over constant bigint := cost - ledger.budget_left(account_name, budget, seconds, moment);
BEGIN
    IF over <= 0 THEN
        DELETE FROM ledger.spending WHERE account = account_name AND slot <= moment - span;
        RETURN 0;
    END IF;
    -- Nothing counts for longer than a whole window from now, even when the clock was set back.
    RETURN (SELECT extract(epoch FROM min(frees_at) - moment)
            FROM (SELECT least(slot, moment) + span AS frees_at, sum(weight) OVER (ORDER BY slot) AS freed
                  FROM ledger.spending WHERE account = account_name AND slot > moment - span) AS freeing
            WHERE freed >= over);
END $$;
COMMENT ON FUNCTION ledger.budget_wait IS 'In how many seconds a request of an account will fit into a budget; 0 if it does now.';

CREATE FUNCTION ledger.begin_request(
    account_name text, provider_name text, request_id uuid, cost integer, allowed integer, seconds double precision,
    budget bigint, budget_seconds double precision,
    OUT wait double precision, OUT pause double precision, OUT reason text
) LANGUAGE plpgsql AS $$
DECLARE
    -- A little longer than it must be, for clocks do not all run equally fast.
    span    constant interval := make_interval(secs => seconds + 0.002);
    -- A request without an answer is under way no longer than this, whatever became of it.
    lost    constant interval := greatest(span, interval '120 s');
    moment  constant timestamptz := ledger.lock_account(account_name, provider_name);
    used    bigint;
    next_at timestamptz;
    room_at timestamptz := moment;
    room_in double precision;
BEGIN
    SELECT extract(epoch FROM upper(p.during) - moment), p.reason INTO pause, reason
    FROM ledger.pause p WHERE p.account = account_name AND upper(p.during) > moment ORDER BY upper(p.during) DESC LIMIT 1;
    pause := coalesce(pause, 0);
    IF budget IS NOT NULL THEN
        room_in := ledger.budget_wait(account_name, cost, budget, budget_seconds, moment);
        IF room_in > pause THEN
            pause := room_in;
            reason := format('all that may be sent in %s s has been sent: %s', budget_seconds, budget);
        END IF;
    END IF;
    -- Half of the even spacing lies between any two: token buckets hold less than a whole window.
    SELECT coalesce(sum(weight) FILTER (WHERE coalesce(answered_at + span, sent_at + lost) > moment), 0),
           max(sent_at + make_interval(secs => 0.5 * seconds / allowed * weight))
    INTO used, next_at
    FROM ledger.request WHERE account = account_name;
    IF used + cost > allowed THEN
        UPDATE ledger.request SET answered_at = moment
        WHERE account = account_name AND (
            answered_at > moment  -- the clock was set back
            OR answered_at IS NULL AND NOT EXISTS (
                SELECT FROM pg_stat_activity a
                WHERE a.pid = backend AND coalesce(a.backend_start <= sent_at, true)));
        -- What is under way frees its place one window from now at the earliest.
        SELECT min(frees_at) INTO room_at
        FROM (SELECT frees_at, sum(weight) OVER (ORDER BY frees_at, id) AS freed
              FROM (SELECT id, weight, coalesce(answered_at + span, least(moment + span, sent_at + lost)) AS frees_at
                    FROM ledger.request WHERE account = account_name) AS counted
              WHERE frees_at > moment) AS freeing
        WHERE freed >= used + cost - allowed;
    END IF;
    -- Nothing is spaced by more than half a window, even when the clock was set back.
    next_at := least(coalesce(next_at, moment), moment + span / 2);
    wait := greatest(0, pause, extract(epoch FROM greatest(next_at, room_at) - moment));
    IF wait = 0 THEN
        DELETE FROM ledger.request
        WHERE account = account_name AND coalesce(answered_at + span, sent_at + lost) <= moment;
        INSERT INTO ledger.request (id, account, weight, sent_at, backend)
        VALUES (request_id, account_name, cost, moment, pg_backend_pid())
        ON CONFLICT (id) DO UPDATE SET sent_at = excluded.sent_at, answered_at = NULL, backend = excluded.backend;
        IF budget IS NOT NULL THEN
            INSERT INTO ledger.spending AS known (account, slot, weight)
            VALUES (account_name, date_bin(ledger.budget_slot(budget_seconds), moment, 'epoch'), cost)
            ON CONFLICT (account, slot) DO UPDATE SET weight = known.weight + excluded.weight;
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION ledger.begin_request IS 'Count a request of an account that allows so much weight in so many seconds, and maybe a budget in more seconds, and return 0; or return how many seconds to wait before trying again, and how much of it, and why, because of a pause or a spent budget.';

CREATE FUNCTION ledger.end_request(
    account_name text, provider_name text, request_id uuid, cost integer, outcome_name text,
    latency double precision, ago double precision, skew double precision,
    reported_use integer, spare integer, counted_for double precision, kept interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment constant timestamptz := ledger.lock_account(account_name, provider_name) - make_interval(secs => ago);
    since  constant timestamptz := moment - make_interval(secs => counted_for);
    begun  constant timestamptz := moment - make_interval(secs => latency);
    possible bigint;
    certain  bigint;
    fresh    boolean;
BEGIN
    -- A crash loses at most how the last second went; what counts is not in the log of the disk anyway.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO ledger.request (id, account, weight, sent_at, answered_at, backend)
    VALUES (request_id, account_name, cost, begun, moment, pg_backend_pid())
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
        FROM ledger.request WHERE account = account_name AND sent_at IS NOT NULL;
        DELETE FROM ledger.request WHERE account = account_name AND sent_at IS NULL;
        IF reported_use > possible AND reported_use - certain > spare THEN
            INSERT INTO ledger.request (id, account, weight, answered_at)
            VALUES (gen_random_uuid(), account_name, reported_use - certain - spare, since);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION ledger.end_request IS 'Note that a request has ended so many seconds ago, after so many, and what the provider said of its clock (seconds ahead of ours) and of the use of its limit: the weight, what the limit has more than ours, and for how many seconds it has been counting.';

CREATE FUNCTION ledger.pause_account(
    account_name text, provider_name text, seconds double precision, is_ban boolean, why text, kept interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment constant timestamptz := ledger.lock_account(account_name, provider_name);
BEGIN
    INSERT INTO ledger.pause (provider, account, during, ban, reason)
    VALUES (provider_name, account_name, tstzrange(moment, moment + make_interval(secs => seconds)), is_ban, why);
    DELETE FROM ledger.pause WHERE account = account_name AND upper(during) < moment - kept;
END $$;
COMMENT ON FUNCTION ledger.pause_account IS 'Let no request of an account through for so many seconds. A shorter pause never ends a longer one.';

CREATE OR REPLACE VIEW market.provider_health AS
WITH asked AS (
    SELECT provider, hour, sum(requests)::bigint AS requests,
           coalesce(sum(requests) FILTER (WHERE outcome = 'answered'), 0)::bigint AS answered,
           coalesce(sum(requests) FILTER (WHERE outcome = 'RateLimited'), 0)::bigint AS refusals,
           array_agg(bucket) AS buckets, array_agg(requests) AS counts
    FROM ledger.fetch_log GROUP BY provider, hour
), kept_away AS (
    SELECT p.name AS provider, pause.during, pause.ban
    FROM ledger.provider p JOIN ledger.pause ON pause.account = p.account OR pause.provider = p.name
), paused AS (
    SELECT provider, hour, sum(extract(epoch FROM least(upper(piece), hour + interval '1 hour')
                                                - greatest(lower(piece), hour))) AS seconds
    FROM (SELECT provider, unnest(range_agg(during)) AS piece FROM kept_away GROUP BY provider) AS pauses
    CROSS JOIN LATERAL generate_series(date_trunc('hour', lower(piece), 'UTC'),
                                       least(upper(piece) - interval '1 microsecond', now()), interval '1 hour') AS hour
    GROUP BY provider, hour
), banned AS (
    SELECT provider, date_trunc('hour', lower(piece), 'UTC') AS hour, count(*) AS bans
    FROM (SELECT provider, unnest(range_agg(during)) AS piece FROM kept_away WHERE ban GROUP BY provider) AS bans
    GROUP BY 1, 2
)
SELECT provider, hour, coalesce(requests, 0) AS requests, round(100.0 * answered / requests, 2) AS success_percent,
       ledger.latency_ms(buckets, counts, 0.5) AS p50_ms, ledger.latency_ms(buckets, counts, 0.95) AS p95_ms,
       ledger.latency_ms(buckets, counts, 0.99) AS p99_ms, coalesce(refusals, 0) AS refusals,
       coalesce(requests - answered - refusals, 0) AS errors, coalesce(bans, 0) AS bans,
       coalesce(round(seconds), 0)::integer AS paused_seconds
FROM asked FULL JOIN paused USING (provider, hour) LEFT JOIN banned USING (provider, hour);
COMMENT ON COLUMN market.provider_health.paused_seconds IS 'Seconds of that hour in which its account had to stay away.';
COMMENT ON COLUMN market.provider_health.bans IS 'How often its account was shut out, counted in the hour in which it began.';

CREATE OR REPLACE VIEW market.providers AS
SELECT p.name AS provider, pause.until AS paused_until, pause.reason AS pause_reason,
       extract(epoch FROM p.clock_skew)::double precision AS clock_skew_seconds, p.clock_checked_at, p.account
FROM ledger.provider p
LEFT JOIN LATERAL (SELECT upper(during) AS until, reason FROM ledger.pause
                   WHERE (account = p.account OR account IS NULL AND provider = p.name) AND upper(during) > now() ORDER BY 1 DESC LIMIT 1) AS pause ON true;
COMMENT ON COLUMN market.providers.account IS 'Whose limit it shares: an exchange or client, and the address if it is not its own.';

-- When markets are open: the minutes to expect.

CREATE TABLE ledger.session (
    name     text PRIMARY KEY,
    rule     text NOT NULL,
    calendar text NOT NULL,
    first    date NOT NULL CHECK (extract(day FROM first) = 1),
    last     date NOT NULL CHECK (extract(day FROM last) = 1)
);
COMMENT ON TABLE ledger.session IS 'The rules of when markets are open, as the months of each were worked out.';
COMMENT ON COLUMN ledger.session.name IS 'Name of the session: 24x7, 24x5, an exchange (XNYS), or one of the universe file.';
COMMENT ON COLUMN ledger.session.rule IS 'The rule in words.';
COMMENT ON COLUMN ledger.session.calendar IS 'Whose calendar of holidays it follows, with its version; empty for none.';
COMMENT ON COLUMN ledger.session.first IS 'First day of the first month worked out.';
COMMENT ON COLUMN ledger.session.last IS 'First day of the last month worked out.';

CREATE TABLE ledger.session_month (
    session  text NOT NULL REFERENCES ledger.session,
    month    date NOT NULL CHECK (extract(day FROM month) = 1),
    open     tstzmultirange NOT NULL,
    asked    tstzmultirange NOT NULL CHECK (open <@ asked),
    minutes  integer NOT NULL GENERATED ALWAYS AS (ledger.minutes(open)) STORED,
    calendar text NOT NULL,
    PRIMARY KEY (session, month)
);
COMMENT ON TABLE ledger.session_month IS 'When markets are open, month by month.';
COMMENT ON COLUMN ledger.session_month.session IS 'The session.';
COMMENT ON COLUMN ledger.session_month.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.session_month.open IS 'Minutes in which bars are expected, UTC.';
COMMENT ON COLUMN ledger.session_month.asked IS 'Minutes that are asked for: the open ones and extended hours, UTC.';
COMMENT ON COLUMN ledger.session_month.minutes IS 'Number of open minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.session_month.calendar IS 'The calendar and its version by which the month first had these minutes.';

CREATE TABLE ledger.session_revision (
    id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    session      text NOT NULL REFERENCES ledger.session,
    month        date NOT NULL,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    old_open     tstzmultirange NOT NULL,
    new_open     tstzmultirange NOT NULL,
    old_calendar text NOT NULL,
    new_calendar text NOT NULL
);
COMMENT ON TABLE ledger.session_revision IS 'Months whose open minutes a newer calendar or another rule has changed.';
COMMENT ON COLUMN ledger.session_revision.id IS 'Internal number.';
COMMENT ON COLUMN ledger.session_revision.session IS 'The session.';
COMMENT ON COLUMN ledger.session_revision.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.session_revision.seen_at IS 'When it was noticed.';
COMMENT ON COLUMN ledger.session_revision.old_open IS 'Open minutes before.';
COMMENT ON COLUMN ledger.session_revision.new_open IS 'Open minutes now.';
COMMENT ON COLUMN ledger.session_revision.old_calendar IS 'The calendar that said so before.';
COMMENT ON COLUMN ledger.session_revision.new_calendar IS 'The calendar that says so now.';

-- What every ledger has so far; other sessions come with the universe.
INSERT INTO ledger.session VALUES
    ('24x7', 'always open', '', '2009-01-01', date_trunc('month', now() + interval '1 year', 'UTC')::date);
INSERT INTO ledger.session_month (session, month, open, asked, calendar)
SELECT name, month, ranges, ranges, ''
FROM ledger.session CROSS JOIN generate_series(first::timestamp, last, interval '1 month') AS month
CROSS JOIN LATERAL (SELECT tstzmultirange(tstzrange(month AT TIME ZONE 'UTC',
                                                    (month + interval '1 month') AT TIME ZONE 'UTC'))) AS whole(ranges);
ALTER TABLE ledger.listing ADD FOREIGN KEY (session) REFERENCES ledger.session;
COMMENT ON COLUMN ledger.listing.session IS 'When its market is open.';
COMMENT ON COLUMN market.listings.session IS 'When its market is open; see market.sessions.';

-- The view keeps its comments and grants while the columns below it are made anew.
CREATE OR REPLACE VIEW market.coverage AS
SELECT NULL::text AS provider, NULL::text AS listing, NULL::text AS symbol, NULL::date AS month, NULL::bigint AS expected,
       NULL::integer AS bars, NULL::bigint AS empty, NULL::bigint AS failed, NULL::bigint AS unavailable,
       NULL::bigint AS pending, NULL::bigint AS settled, NULL::numeric AS percent;
ALTER TABLE ledger.coverage
    ADD COLUMN open tstzmultirange,
    ADD COLUMN extended integer NOT NULL DEFAULT 0 CHECK (extended >= 0),
    DROP COLUMN answered_minutes, DROP COLUMN settled_minutes, DROP COLUMN unavailable_minutes;
UPDATE ledger.coverage c SET open = s.open
FROM ledger.listing l JOIN ledger.session_month s ON s.session = l.session
WHERE l.id = c.listing_id AND s.month = c.month;
ALTER TABLE ledger.coverage
    ALTER COLUMN open SET NOT NULL,
    ADD COLUMN answered_minutes    bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(answered * open)) STORED,
    ADD COLUMN settled_minutes     bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(settled * open)) STORED,
    ADD COLUMN unavailable_minutes bigint NOT NULL GENERATED ALWAYS AS (ledger.minutes(unavailable * open)) STORED;
COMMENT ON COLUMN ledger.coverage.open IS 'Minutes in which bars are expected, as its session had them when its bars were counted and its silences judged.';
COMMENT ON COLUMN ledger.coverage.bars IS 'Number of stored bars in open minutes, kept in the transaction that writes them.';
COMMENT ON COLUMN ledger.coverage.extended IS 'Number of stored bars of the month outside of them.';
COMMENT ON COLUMN ledger.coverage.silences IS 'Number of runs of answered open minutes without a bar that begin in the month; right when judged.';
COMMENT ON COLUMN ledger.coverage.answered_minutes IS 'Number of answered open minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.settled_minutes IS 'Number of settled open minutes; PostgreSQL keeps it.';
COMMENT ON COLUMN ledger.coverage.unavailable_minutes IS 'Number of unavailable open minutes; PostgreSQL keeps it.';

CREATE FUNCTION ledger.open_month() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_session text := (SELECT session FROM ledger.listing WHERE id = NEW.listing_id);
BEGIN
    NEW.open := (SELECT open FROM ledger.session_month WHERE session = of_session AND month = NEW.month);
    IF NEW.open IS NULL THEN
        RAISE 'the open minutes of session % in % are not known; run `minuteledger migrate`, which works them out',
              of_session, to_char(NEW.month, 'YYYY-MM');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION ledger.open_month IS 'Give a new row of coverage the open minutes of its session.';
CREATE TRIGGER coverage_open BEFORE INSERT ON ledger.coverage FOR EACH ROW EXECUTE FUNCTION ledger.open_month();

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
COMMENT ON COLUMN market.coverage.expected IS 'Minutes of the listing''s life in that month, up to now, in which its market was open.';
COMMENT ON COLUMN market.coverage.bars IS 'Open minutes with a stored bar.';
COMMENT ON COLUMN market.coverage.percent IS 'Answered minutes as a percentage of the expected ones; null when none were expected.';
COMMENT ON COLUMN market.coverage.extended IS 'Stored bars outside of the open minutes; not among the expected ones.';

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
            SELECT range_agg(c.answered * c.open) FROM ledger.coverage c
            -- A month with a bar in each of its answered open minutes need not be read.
            WHERE c.listing_id = listing AND c.month BETWEEN first_month AND last_month
              AND c.bars < c.answered_minutes)) AS piece
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
COMMENT ON FUNCTION ledger.silences IS 'The longest runs of answered open minutes without a bar that touch [touching_since, touching_before), whole, in order of time. They end where the market closes.';

CREATE OR REPLACE VIEW market.silences AS
SELECT l.provider, l.key AS listing, l.symbol, c.month, c.silences AS gaps,
       c.answered_minutes - c.bars AS minutes,
       c.silences - coalesce(g.outages, 0) - coalesce(g.halts, 0) AS quiet_gaps,
       c.answered_minutes - c.bars - coalesce(g.outage_minutes, 0) - coalesce(g.halt_minutes, 0) AS quiet_minutes,
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

CREATE FUNCTION ledger.runs(minutes tstzmultirange, closed tstzmultirange) RETURNS SETOF tstzmultirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10 AS $$
    SELECT tstzmultirange(run) * minutes FROM unnest(minutes + closed) AS run
    WHERE NOT isempty(minutes) AND tstzmultirange(run) && minutes
$$;
COMMENT ON FUNCTION ledger.runs IS 'The longest runs of some minutes, where closed ones between them do not count.';

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
COMMENT ON VIEW market.gaps IS 'Expected minutes without a bar that need action or explanation, as the longest runs of one reason; a run goes on over hours in which the market is closed. Minutes without a trade are many; market.quiet_gaps lists them.';
COMMENT ON COLUMN market.gaps.minutes IS 'How many of its minutes the market was open.';

CREATE OR REPLACE VIEW market.bars_1m AS
SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       NOT b.ts <@ s.open AS extended
FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id
LEFT JOIN ledger.session_month s ON s.session = l.session AND s.month = ledger.month_of(b.ts);
COMMENT ON COLUMN market.bars_1m.extended IS 'Whether its minute lies outside of the regular session.';

CREATE VIEW market.sessions AS
SELECT m.session, lower(piece) AS since, upper(piece) AS before,
       (extract(epoch FROM upper(piece) - lower(piece)) / 60)::integer AS minutes, s.rule, m.calendar
FROM ledger.session_month m JOIN ledger.session s ON s.name = m.session CROSS JOIN LATERAL unnest(m.open) AS piece;
COMMENT ON VIEW market.sessions IS 'When markets are open: one row for each run of open minutes in a month.';
COMMENT ON COLUMN market.sessions.session IS 'The session, as in market.listings.';
COMMENT ON COLUMN market.sessions.since IS 'First open minute, UTC.';
COMMENT ON COLUMN market.sessions.before IS 'First minute that is not open any more, UTC; or the end of the month, where it goes on in the next.';
COMMENT ON COLUMN market.sessions.minutes IS 'Its length.';
COMMENT ON COLUMN market.sessions.rule IS 'The rule in words.';
COMMENT ON COLUMN market.sessions.calendar IS 'Whose calendar says so, with its version; empty when the rule says everything.';

CREATE VIEW market.session_revisions AS
SELECT session, month, seen_at, ledger.minutes(old_open - new_open) AS minutes_closed,
       ledger.minutes(new_open - old_open) AS minutes_opened, old_open, new_open, old_calendar, new_calendar
FROM ledger.session_revision;
COMMENT ON VIEW market.session_revisions IS 'Months whose open minutes a newer calendar or another rule has changed; their gaps were judged again.';
COMMENT ON COLUMN market.session_revisions.session IS 'The session.';
COMMENT ON COLUMN market.session_revisions.month IS 'First day of the UTC month.';
COMMENT ON COLUMN market.session_revisions.seen_at IS 'When it was noticed.';
COMMENT ON COLUMN market.session_revisions.minutes_closed IS 'Minutes that were open before and are not now.';
COMMENT ON COLUMN market.session_revisions.minutes_opened IS 'Minutes that are open now and were not before.';
COMMENT ON COLUMN market.session_revisions.old_open IS 'Open minutes before.';
COMMENT ON COLUMN market.session_revisions.new_open IS 'Open minutes now.';
COMMENT ON COLUMN market.session_revisions.old_calendar IS 'The calendar that said so before.';
COMMENT ON COLUMN market.session_revisions.new_calendar IS 'The calendar that says so now.';

-- Gaps, with the reason of each and the evidence for it.

ALTER TABLE ledger.coverage
    ADD judged boolean NOT NULL DEFAULT false,
    ADD silences integer NOT NULL DEFAULT 0 CHECK (silences >= 0);
CREATE INDEX coverage_unjudged ON ledger.coverage (listing_id) WHERE NOT judged;
COMMENT ON COLUMN ledger.coverage.judged IS 'Whether the silences of the month have been judged since its bars or its answers last changed.';
COMMENT ON COLUMN ledger.coverage.silences IS 'Number of runs of answered minutes without a bar that begin in the month; right when judged.';

CREATE TABLE ledger.gap (
    listing_id integer NOT NULL REFERENCES ledger.listing,
    during     tstzrange NOT NULL CHECK (NOT isempty(during)),
    reason     text NOT NULL CHECK (reason IN ('outage', 'halt')),
    expected   double precision CHECK (expected >= 0),
    habit      text,
    company    text NOT NULL DEFAULT '',
    PRIMARY KEY (listing_id, during),
    CHECK ((expected IS NULL) = (habit IS NULL)),
    CHECK (expected IS NOT NULL OR reason = 'outage')
);
CREATE INDEX gap_during ON ledger.gap USING gist (during);
COMMENT ON TABLE ledger.gap IS 'Silences (answered minutes without a bar) that quiet markets do not explain. All others are minutes without a trade, and are not stored.';
COMMENT ON COLUMN ledger.gap.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.gap.during IS 'From the first minute without a bar to the first with one, UTC.';
COMMENT ON COLUMN ledger.gap.reason IS 'outage: other listings of the provider missed the same minutes; halt: this listing alone is silent far beyond its habit.';
COMMENT ON COLUMN ledger.gap.expected IS 'How many silences as long as this its habit has in a month; null when it is within its habit, and only its company shows the outage.';
COMMENT ON COLUMN ledger.gap.habit IS 'The habit it was compared with, in words.';
COMMENT ON COLUMN ledger.gap.company IS 'What other listings of the provider did meanwhile, in words.';

CREATE FUNCTION ledger.month_of(moment timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN date_trunc('month', moment AT TIME ZONE 'UTC')::date;
COMMENT ON FUNCTION ledger.month_of IS 'First day of the UTC month of a moment.';

CREATE FUNCTION ledger.silences(listing integer, touching_since timestamptz, touching_before timestamptz)
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

CREATE VIEW market.gaps AS
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
COMMENT ON COLUMN market.gaps.provider IS 'The provider.';
COMMENT ON COLUMN market.gaps.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.gaps.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.gaps.since IS 'First minute without a bar, UTC.';
COMMENT ON COLUMN market.gaps.before IS 'First minute after the gap, UTC.';
COMMENT ON COLUMN market.gaps.minutes IS 'Its length.';
COMMENT ON COLUMN market.gaps.state IS 'empty: answered without a bar; failed, unavailable, pending: not answered, as in market.coverage; not_expected: before the listing''s first trade, so not among the expected minutes.';
COMMENT ON COLUMN market.gaps.reason IS 'outage: the provider''s listings missed the same minutes together; halt: this listing alone is silent far beyond its habit; history_limit: no longer served; not_listed; failed; pending.';
COMMENT ON COLUMN market.gaps.evidence IS 'What the reason rests on, in words.';
COMMENT ON COLUMN market.gaps.attempts IS 'How often asking has failed in a row.';
COMMENT ON COLUMN market.gaps.error IS 'Class of the last error.';
COMMENT ON COLUMN market.gaps.next_attempt_at IS 'When a failed range is due again; null when somebody has to act first.';

CREATE VIEW market.silences AS
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
COMMENT ON VIEW market.silences IS 'Minutes that the provider answered without a bar, per listing and month: how many gaps they make, and why.';
COMMENT ON COLUMN market.silences.provider IS 'The provider.';
COMMENT ON COLUMN market.silences.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.silences.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.silences.month IS 'First day of the UTC month.';
COMMENT ON COLUMN market.silences.gaps IS 'Gaps that begin in the month, of any reason.';
COMMENT ON COLUMN market.silences.minutes IS 'Minutes of the month that were answered without a bar.';
COMMENT ON COLUMN market.silences.quiet_gaps IS 'Gaps that begin in the month because nobody traded.';
COMMENT ON COLUMN market.silences.quiet_minutes IS 'Minutes of the month in such gaps.';
COMMENT ON COLUMN market.silences.outages IS 'Gaps that begin in the month and that the provider''s listings had together.';
COMMENT ON COLUMN market.silences.outage_minutes IS 'Minutes of the month in such gaps.';
COMMENT ON COLUMN market.silences.halts IS 'Gaps that begin in the month in which this listing alone is silent far beyond its habit.';
COMMENT ON COLUMN market.silences.halt_minutes IS 'Minutes of the month in such gaps.';
COMMENT ON COLUMN market.silences.judged IS 'Whether that is up to date with the stored bars.';

CREATE FUNCTION market.quiet_gaps(
    of_provider text, of_listing text, touching_since timestamptz, touching_before timestamptz)
RETURNS TABLE (since timestamptz, before timestamptz, minutes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT s.since, s.before, (extract(epoch FROM s.before - s.since) / 60)::bigint
    FROM ledger.listing l
    CROSS JOIN LATERAL ledger.silences(l.id, touching_since, touching_before) AS s
    WHERE l.provider = of_provider AND l.key = of_listing
      AND NOT EXISTS (SELECT FROM ledger.gap g
                      WHERE g.listing_id = l.id AND g.during && tstzrange(s.since, s.before));
END;
COMMENT ON FUNCTION market.quiet_gaps IS 'Runs of minutes without a trade of one listing that touch [touching_since, touching_before), whole, in order of time. The provider answered them and has no bar; its listing is often enough silent for so long.';
REVOKE ALL ON FUNCTION market.quiet_gaps FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.quiet_gaps TO analyst;

-- A subject was one instrument at one provider, whatever its symbol. Now it is one symbol of one client, and has the times at which
-- it was asked for: what was known at a moment follows from them.

CREATE OR REPLACE FUNCTION ledger.fundamentals_at(at timestamptz)
RETURNS TABLE (instrument text, field text, value double precision, words text, day date, unit text, currency text, period text,
               period_end date, filed_at timestamptz, provider text, rule text, state text, spread double precision,
               since timestamptz, confirmed_at timestamptz, age interval, snapshot bigint, found_at text, candidates jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.key, f.field, f.number, f.words, f.day, d.unit, f.currency, f.period, f.period_end, f.filed_at, f.provider, f.rule,
           CASE WHEN f.state <> 'none' AND fundamentals_at.at > c.confirmed_at + f.lasts THEN 'stale' ELSE f.state END,
           f.spread, f.since, c.confirmed_at, fundamentals_at.at - c.confirmed_at, f.snapshot_id, f.found_at, f.candidates
    FROM ledger.fundamental f
    JOIN ledger.instrument i ON i.id = f.instrument_id
    LEFT JOIN ledger.field d ON d.name = f.field
    LEFT JOIN ledger.snapshot s ON s.id = f.snapshot_id
    LEFT JOIN LATERAL (
        SELECT CASE WHEN f.stands_in THEN least(s.last_seen_at, fundamentals_at.at) ELSE greatest(s.fetched_at, (
            SELECT max(k.checked_at) FROM ledger.snapshot_check k
            WHERE (k.subject_id, k.document) = (s.subject_id, s.document)
              AND k.checked_at <= fundamentals_at.at AND k.outcome IN ('new', 'same'))) END AS confirmed_at
    ) AS c ON true
    WHERE f.since <= fundamentals_at.at AND (f.before IS NULL OR f.before > fundamentals_at.at);
END;
DROP VIEW market.fundamentals_snapshots;

ALTER TABLE ledger.subject DROP CONSTRAINT subject_instrument_id_provider_key;
ALTER TABLE ledger.subject ADD COLUMN asked tstzmultirange NOT NULL DEFAULT '{}';

-- Each symbol from when it was first heard of to the next one; the present one from when it is in use.
CREATE TEMPORARY TABLE span ON COMMIT DROP AS
WITH told AS (
    SELECT subject_id, symbol, min(at) AS first
    FROM (SELECT subject_id, symbol, fetched_at AS at FROM ledger.snapshot
          UNION ALL SELECT subject_id, symbol, checked_at FROM ledger.snapshot_check) AS each
    GROUP BY 1, 2
)
SELECT u.id AS subject_id, told.symbol,
       tstzrange(CASE WHEN row_number() OVER in_time > 1 THEN told.first END,
                 coalesce(lead(told.first) OVER in_time, u.symbol_since)) AS asked
FROM told JOIN ledger.subject u ON u.id = told.subject_id AND told.first < u.symbol_since
WHERE isfinite(u.symbol_since)
WINDOW in_time AS (PARTITION BY u.id ORDER BY told.first, told.symbol)
UNION ALL SELECT id, symbol, tstzrange(nullif(symbol_since, '-infinity'), left_at) FROM ledger.subject;

INSERT INTO ledger.subject (instrument_id, provider, client, symbol, in_universe, left_at)
SELECT DISTINCT u.instrument_id, u.provider, u.client, span.symbol, false, u.symbol_since
FROM span JOIN ledger.subject u ON u.id = span.subject_id AND u.symbol <> span.symbol;

CREATE TEMPORARY TABLE of_symbol ON COMMIT DROP AS
SELECT u.id AS subject_id, one.symbol, one.id
FROM ledger.subject u JOIN ledger.subject one USING (instrument_id, provider)
WHERE u.id IN (SELECT subject_id FROM span);

UPDATE ledger.subject u SET asked = found.asked
FROM (SELECT of_symbol.id, range_agg(span.asked) AS asked FROM span JOIN of_symbol USING (subject_id, symbol) GROUP BY 1) AS found
WHERE found.id = u.id;
UPDATE ledger.snapshot s SET subject_id = o.id FROM of_symbol o
WHERE (o.subject_id, o.symbol) = (s.subject_id, s.symbol) AND o.id <> s.subject_id;
UPDATE ledger.snapshot_check k SET subject_id = o.id FROM of_symbol o
WHERE (o.subject_id, o.symbol) = (k.subject_id, k.symbol) AND o.id <> k.subject_id;

ALTER TABLE ledger.snapshot DROP COLUMN symbol;
ALTER TABLE ledger.snapshot_check DROP COLUMN symbol;
ALTER TABLE ledger.subject DROP COLUMN symbol_since, DROP COLUMN left_at, DROP COLUMN in_universe;
ALTER TABLE ledger.subject ADD COLUMN in_universe boolean NOT NULL GENERATED ALWAYS AS (upper_inf(asked)) STORED;
ALTER TABLE ledger.subject ALTER COLUMN asked DROP DEFAULT;
ALTER TABLE ledger.subject ADD UNIQUE (instrument_id, provider, client, symbol);
CREATE UNIQUE INDEX subject_asked_now ON ledger.subject (instrument_id, provider) WHERE in_universe;
COMMENT ON TABLE ledger.subject IS 'Whom a provider is asked about: one instrument at one provider of fundamentals, by one symbol, through one kind of client.';
COMMENT ON COLUMN ledger.subject.asked IS 'When it is, and was, asked, UTC. What it says counts at those times alone.';
COMMENT ON COLUMN ledger.subject.in_universe IS 'Whether it is asked now.';

CREATE VIEW market.fundamentals_snapshots AS
SELECT s.id, u.provider, i.key AS instrument, u.symbol, s.document, s.fetched_at, s.last_seen_at, s.unusable, s.payload, p.pruned_at
FROM ledger.snapshot s JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id
LEFT JOIN ledger.pruned_payload p ON p.snapshot_id = s.id;
COMMENT ON VIEW market.fundamentals_snapshots IS 'The documents that fundamentals are read in, as providers sent them.';
COMMENT ON COLUMN market.fundamentals_snapshots.id IS 'Number of the snapshot.';
COMMENT ON COLUMN market.fundamentals_snapshots.provider IS 'Who sent it.';
COMMENT ON COLUMN market.fundamentals_snapshots.instrument IS 'Which instrument it is about.';
COMMENT ON COLUMN market.fundamentals_snapshots.symbol IS 'The symbol that was asked for.';
COMMENT ON COLUMN market.fundamentals_snapshots.document IS 'Which document it is, by the provider''s own name for it.';
COMMENT ON COLUMN market.fundamentals_snapshots.fetched_at IS 'When it first came, UTC.';
COMMENT ON COLUMN market.fundamentals_snapshots.last_seen_at IS 'When it last came unchanged, UTC.';
COMMENT ON COLUMN market.fundamentals_snapshots.unusable IS 'Why nothing in it is believed; null for a good one.';
COMMENT ON COLUMN market.fundamentals_snapshots.payload IS 'The document, character by character; null after it was pruned.';
COMMENT ON COLUMN market.fundamentals_snapshots.pruned_at IS 'When its payload was pruned, while it can still be restored, UTC.';

CREATE TABLE ledger.strategy (
    since timestamptz PRIMARY KEY,
    name  text
);
COMMENT ON TABLE ledger.strategy IS 'By which strategy fundamentals are combined, from when on.';
COMMENT ON COLUMN ledger.strategy.since IS 'From when on, UTC, until the next.';
COMMENT ON COLUMN ledger.strategy.name IS 'Name of the strategy; null: the one that each field has in the registry.';

CREATE TABLE ledger.recombination (
    instrument_id integer NOT NULL REFERENCES ledger.instrument,
    at            timestamptz NOT NULL,
    pending       boolean NOT NULL,
    PRIMARY KEY (instrument_id, at)
);
CREATE INDEX recombination_pending ON ledger.recombination (at) WHERE pending;
COMMENT ON TABLE ledger.recombination IS 'When fundamentals were combined anew though no document had come: others are asked, by another strategy, or time has passed.';
COMMENT ON COLUMN ledger.recombination.instrument_id IS 'The instrument.';
COMMENT ON COLUMN ledger.recombination.at IS 'As of when, UTC.';
COMMENT ON COLUMN ledger.recombination.pending IS 'Whether it is still to be done.';
INSERT INTO ledger.recombination (instrument_id, at, pending)
SELECT DISTINCT f.instrument_id, f.since, false FROM ledger.fundamental f
WHERE NOT EXISTS (SELECT FROM ledger.subject u JOIN ledger.snapshot_check k ON k.subject_id = u.id
                  WHERE u.instrument_id = f.instrument_id AND k.checked_at = f.since);

-- Each candidate tells in which document it was said.
UPDATE ledger.fundamental f
SET candidates = (SELECT jsonb_agg(each.said || jsonb_build_object('document', s.document) ORDER BY each.place)
                  FROM jsonb_array_elements(f.candidates) WITH ORDINALITY AS each(said, place)
                  JOIN ledger.snapshot s ON s.id = (each.said ->> 'snapshot')::bigint)
WHERE f.candidates <> '[]';
COMMENT ON COLUMN ledger.fundamental.candidates IS 'All that was said, in the order of priority: provider, document, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';
COMMENT ON COLUMN market.fundamentals_fields.candidates IS 'All that was said, in the order of priority: provider, document, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';

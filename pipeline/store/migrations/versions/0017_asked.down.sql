UPDATE ledger.fundamental f
SET candidates = (SELECT jsonb_agg(each.said - 'document' ORDER BY each.place)
                  FROM jsonb_array_elements(f.candidates) WITH ORDINALITY AS each(said, place))
WHERE f.candidates <> '[]';
COMMENT ON COLUMN ledger.fundamental.candidates IS 'All that was said, in the order of priority: provider, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';
COMMENT ON COLUMN market.fundamentals_fields.candidates IS 'All that was said, in the order of priority: provider, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';
DROP TABLE ledger.recombination;
DROP TABLE ledger.strategy;
DROP VIEW market.fundamentals_snapshots;
DROP INDEX ledger.subject_asked_now;

-- The symbol that is asked for now, or was last, stands for all of an instrument at a provider again.
CREATE TEMPORARY TABLE kept ON COMMIT DROP AS
SELECT id, first_value(id) OVER (PARTITION BY instrument_id, provider ORDER BY in_universe DESC, upper(asked) DESC NULLS LAST, id DESC) AS kept,
       count(*) OVER (PARTITION BY instrument_id, provider) > 1 AS several
FROM ledger.subject;
ALTER TABLE ledger.snapshot ADD COLUMN symbol text;
ALTER TABLE ledger.snapshot_check ADD COLUMN symbol text;
UPDATE ledger.snapshot s SET symbol = u.symbol, subject_id = kept.kept FROM ledger.subject u JOIN kept USING (id) WHERE u.id = s.subject_id;
UPDATE ledger.snapshot_check k SET symbol = u.symbol, subject_id = kept.kept FROM ledger.subject u JOIN kept USING (id) WHERE u.id = k.subject_id;
ALTER TABLE ledger.snapshot ALTER COLUMN symbol SET NOT NULL;
ALTER TABLE ledger.snapshot_check ALTER COLUMN symbol SET NOT NULL;
COMMENT ON COLUMN ledger.snapshot.symbol IS 'The symbol that was asked for.';
COMMENT ON COLUMN ledger.snapshot_check.symbol IS 'By which symbol.';

ALTER TABLE ledger.subject DROP CONSTRAINT subject_instrument_id_provider_client_symbol_key, DROP COLUMN in_universe;
ALTER TABLE ledger.subject
    ADD COLUMN symbol_since timestamptz NOT NULL DEFAULT '-infinity', ADD COLUMN in_universe boolean NOT NULL DEFAULT true,
    ADD COLUMN left_at timestamptz;
UPDATE ledger.subject u
SET in_universe = upper_inf(asked), left_at = CASE WHEN NOT upper_inf(asked) THEN coalesce(upper(asked), now()) END,
    symbol_since = CASE WHEN kept.several
        THEN coalesce((SELECT max(lower(each)) FROM unnest(asked) AS each), '-infinity') ELSE '-infinity' END
FROM kept WHERE kept.id = u.id;
DELETE FROM ledger.subject u USING kept WHERE kept.id = u.id AND kept.kept <> u.id;
ALTER TABLE ledger.subject DROP COLUMN asked, ADD CHECK ((left_at IS NULL) = in_universe), ADD UNIQUE (instrument_id, provider);
COMMENT ON TABLE ledger.subject IS 'Whom a provider is asked about: one instrument at one provider of fundamentals.';
COMMENT ON COLUMN ledger.subject.symbol_since IS 'From when on it is asked by this symbol, UTC. What came by others counts no more from then on.';
COMMENT ON COLUMN ledger.subject.left_at IS 'Since when it is no longer asked, UTC; null while it is.';
COMMENT ON COLUMN ledger.subject.in_universe IS 'Whether it is still asked. What is no longer asked keeps its history, and takes no part in what is combined from then on.';

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
            WHERE (k.subject_id, k.symbol, k.document) = (s.subject_id, s.symbol, s.document)
              AND k.checked_at <= fundamentals_at.at AND k.outcome IN ('new', 'same'))) END AS confirmed_at
    ) AS c ON true
    WHERE f.since <= fundamentals_at.at AND (f.before IS NULL OR f.before > fundamentals_at.at);
END;

CREATE VIEW market.fundamentals_snapshots AS
SELECT s.id, u.provider, i.key AS instrument, s.symbol, s.document, s.fetched_at, s.last_seen_at, s.unusable, s.payload, p.pruned_at
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

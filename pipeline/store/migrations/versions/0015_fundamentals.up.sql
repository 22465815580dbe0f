-- What providers say about companies and coins: kept as it came, read, and combined field by field.

CREATE TABLE ledger.subject (
    id            integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    instrument_id integer NOT NULL REFERENCES ledger.instrument,
    provider      text NOT NULL,
    client        text NOT NULL,
    symbol        text NOT NULL,
    symbol_since  timestamptz NOT NULL DEFAULT '-infinity',
    in_universe   boolean NOT NULL DEFAULT true,
    left_at       timestamptz CHECK ((left_at IS NULL) = in_universe),
    UNIQUE (instrument_id, provider)
);
COMMENT ON TABLE ledger.subject IS 'Whom a provider is asked about: one instrument at one provider of fundamentals.';
COMMENT ON COLUMN ledger.subject.id IS 'Internal number.';
COMMENT ON COLUMN ledger.subject.instrument_id IS 'The instrument.';
COMMENT ON COLUMN ledger.subject.provider IS 'The provider''s name in the universe.';
COMMENT ON COLUMN ledger.subject.client IS 'The kind of client that talks to it, by which the field registry knows it.';
COMMENT ON COLUMN ledger.subject.symbol IS 'The provider''s symbol, or its number for it.';
COMMENT ON COLUMN ledger.subject.symbol_since IS 'From when on it is asked by this symbol, UTC. What came by others counts no more from then on.';
COMMENT ON COLUMN ledger.subject.left_at IS 'Since when it is no longer asked, UTC; null while it is.';
COMMENT ON COLUMN ledger.subject.in_universe IS 'Whether it is still asked. What is no longer asked keeps its history, and takes no part in what is combined from then on.';

CREATE TABLE ledger.snapshot (
    id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    subject_id   integer NOT NULL REFERENCES ledger.subject,
    symbol       text NOT NULL,
    document     text NOT NULL,
    fetched_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL CHECK (last_seen_at >= fetched_at),
    digest       bytea NOT NULL,
    payload      text,
    registry     text NOT NULL,
    unusable     text,
    UNIQUE (subject_id, document, fetched_at)
);
COMMENT ON TABLE ledger.snapshot IS 'Documents as providers sent them. Never changed; one that comes again unchanged is only seen again.';
COMMENT ON COLUMN ledger.snapshot.id IS 'Number of the snapshot, by which others refer to it.';
COMMENT ON COLUMN ledger.snapshot.subject_id IS 'Whom it is about, and who sent it.';
COMMENT ON COLUMN ledger.snapshot.symbol IS 'The symbol that was asked for.';
COMMENT ON COLUMN ledger.snapshot.document IS 'Which document it is, by the provider''s own name for it.';
COMMENT ON COLUMN ledger.snapshot.fetched_at IS 'When it first came, UTC.';
COMMENT ON COLUMN ledger.snapshot.last_seen_at IS 'When it last came unchanged, UTC.';
COMMENT ON COLUMN ledger.snapshot.digest IS 'SHA-256 of the payload in UTF-8.';
COMMENT ON COLUMN ledger.snapshot.payload IS 'The document, character by character; null after it was pruned.';
COMMENT ON COLUMN ledger.snapshot.registry IS 'By which version of the field registry it was read.';
COMMENT ON COLUMN ledger.snapshot.unusable IS 'Why nothing in it is believed; null for a good one.';

CREATE TABLE ledger.snapshot_value (
    snapshot_id bigint NOT NULL REFERENCES ledger.snapshot ON DELETE CASCADE,
    field       text NOT NULL,
    period      text NOT NULL CHECK (period IN ('annual', 'quarter', 'ttm', 'instant')),
    period_end  date,
    number      double precision CHECK (number > '-infinity' AND number < 'infinity'),
    words       text,
    day         date,
    currency    text,
    filed_at    timestamptz,
    found_at    text NOT NULL,
    held        text,
    instead     bigint REFERENCES ledger.snapshot,
    instead_end date,
    freed_at    timestamptz,
    was_held    text CHECK ((was_held IS NULL) = (freed_at IS NULL)),
    was_instead bigint REFERENCES ledger.snapshot,
    was_instead_end date,
    accepted    boolean NOT NULL DEFAULT false,
    UNIQUE NULLS NOT DISTINCT (snapshot_id, field, period, period_end),
    CHECK (num_nonnulls(number, words, day) = 1)
);
COMMENT ON TABLE ledger.snapshot_value IS 'What is read in the snapshots, in the registry''s units.';
COMMENT ON COLUMN ledger.snapshot_value.snapshot_id IS 'The snapshot.';
COMMENT ON COLUMN ledger.snapshot_value.field IS 'Name of the field.';
COMMENT ON COLUMN ledger.snapshot_value.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN ledger.snapshot_value.period_end IS 'Last day of that time; null where the document does not say.';
COMMENT ON COLUMN ledger.snapshot_value.number IS 'The value of a field that is a number.';
COMMENT ON COLUMN ledger.snapshot_value.words IS 'The value of a field that is text.';
COMMENT ON COLUMN ledger.snapshot_value.day IS 'The value of a field that is a date.';
COMMENT ON COLUMN ledger.snapshot_value.currency IS 'What an amount is in, ISO 4217; null for other fields.';
COMMENT ON COLUMN ledger.snapshot_value.filed_at IS 'When it was published, UTC; null where the document does not say.';
COMMENT ON COLUMN ledger.snapshot_value.found_at IS 'Where in the document it is.';
COMMENT ON COLUMN ledger.snapshot_value.held IS 'Why it does not count: its scale changed, and nobody confirms it. Null if it counts.';
COMMENT ON COLUMN ledger.snapshot_value.instead IS 'The snapshot whose value counts in its place; null if it counts.';
COMMENT ON COLUMN ledger.snapshot_value.instead_end IS 'Of which value there: the last day of the time that it is about.';
COMMENT ON COLUMN ledger.snapshot_value.freed_at IS 'From when on it counts after all, UTC: when another provider had confirmed it. Null if it never was held, or still is.';
COMMENT ON COLUMN ledger.snapshot_value.was_held IS 'Why it did not count before that.';
COMMENT ON COLUMN ledger.snapshot_value.was_instead IS 'The snapshot whose value counted in its place before that.';
COMMENT ON COLUMN ledger.snapshot_value.was_instead_end IS 'Of which value there.';
COMMENT ON COLUMN ledger.snapshot_value.accepted IS 'Whether a person has said that it is right, whatever its scale.';

CREATE TABLE ledger.snapshot_refusal (
    snapshot_id bigint NOT NULL REFERENCES ledger.snapshot ON DELETE CASCADE,
    field       text NOT NULL,
    found_at    text NOT NULL,
    raw         text NOT NULL,
    why         text NOT NULL
);
CREATE INDEX snapshot_refusal_snapshot ON ledger.snapshot_refusal (snapshot_id);
COMMENT ON TABLE ledger.snapshot_refusal IS 'Places of snapshots that should hold a value, and hold nothing usable.';
COMMENT ON COLUMN ledger.snapshot_refusal.snapshot_id IS 'The snapshot.';
COMMENT ON COLUMN ledger.snapshot_refusal.field IS 'Name of the field.';
COMMENT ON COLUMN ledger.snapshot_refusal.found_at IS 'Where in the document it is.';
COMMENT ON COLUMN ledger.snapshot_refusal.raw IS 'What is there, shortened.';
COMMENT ON COLUMN ledger.snapshot_refusal.why IS 'What is wrong with it.';

CREATE TABLE ledger.snapshot_check (
    subject_id integer NOT NULL REFERENCES ledger.subject,
    symbol     text NOT NULL,
    document   text NOT NULL,
    checked_at timestamptz NOT NULL,
    outcome    text NOT NULL CHECK (outcome IN ('new', 'same', 'none', 'unusable', 'failed')),
    detail     text,
    PRIMARY KEY (subject_id, document, checked_at)
);
COMMENT ON TABLE ledger.snapshot_check IS 'Each time that a provider was asked for a document, and what came of it.';
COMMENT ON COLUMN ledger.snapshot_check.subject_id IS 'Whom it was asked about.';
COMMENT ON COLUMN ledger.snapshot_check.symbol IS 'By which symbol.';
COMMENT ON COLUMN ledger.snapshot_check.document IS 'Which document was asked for.';
COMMENT ON COLUMN ledger.snapshot_check.checked_at IS 'When, UTC.';
COMMENT ON COLUMN ledger.snapshot_check.outcome IS 'new: a snapshot was stored; same: the newest one was seen again; none: the provider has no such document; unusable: nothing in it is believed; failed: there was no answer.';
COMMENT ON COLUMN ledger.snapshot_check.detail IS 'Why, where that is to be said.';

CREATE TABLE ledger.pruned_payload (
    snapshot_id bigint PRIMARY KEY REFERENCES ledger.snapshot ON DELETE CASCADE,
    payload     text NOT NULL,
    pruned_at   timestamptz NOT NULL
);
COMMENT ON TABLE ledger.pruned_payload IS 'Payloads that were pruned and can still be restored.';
COMMENT ON COLUMN ledger.pruned_payload.snapshot_id IS 'Whose payload it is.';
COMMENT ON COLUMN ledger.pruned_payload.payload IS 'The payload.';
COMMENT ON COLUMN ledger.pruned_payload.pruned_at IS 'When it was taken out, UTC.';

CREATE TABLE ledger.pruning (
    snapshot_id bigint NOT NULL REFERENCES ledger.snapshot ON DELETE CASCADE,
    pruned_at   timestamptz NOT NULL,
    rule        text NOT NULL,
    restored_at timestamptz,
    gone_at     timestamptz CHECK (restored_at IS NULL OR gone_at IS NULL),
    PRIMARY KEY (snapshot_id, pruned_at)
);
COMMENT ON TABLE ledger.pruning IS 'Which payloads were pruned, when and by which rule, and what became of them.';
COMMENT ON COLUMN ledger.pruning.snapshot_id IS 'Whose payload it is.';
COMMENT ON COLUMN ledger.pruning.pruned_at IS 'When it was taken out, UTC.';
COMMENT ON COLUMN ledger.pruning.rule IS 'Why, in words.';
COMMENT ON COLUMN ledger.pruning.restored_at IS 'When it was put back, UTC; null if it was not.';
COMMENT ON COLUMN ledger.pruning.gone_at IS 'When it went for good, UTC; null if it did not.';

CREATE TABLE ledger.field (
    name      text PRIMARY KEY,
    place     integer NOT NULL,
    kind      text NOT NULL,
    unit      text NOT NULL,
    data_type text NOT NULL,
    period    text NOT NULL,
    meaning   text NOT NULL
);
COMMENT ON TABLE ledger.field IS 'The fields of the registry, as last put in step with it.';
COMMENT ON COLUMN ledger.field.name IS 'Name of the field.';
COMMENT ON COLUMN ledger.field.place IS 'Its place in the registry, from 1 on.';
COMMENT ON COLUMN ledger.field.kind IS 'amount, per_share, fraction, multiple, count, text or date.';
COMMENT ON COLUMN ledger.field.unit IS 'What its values are in, in words.';
COMMENT ON COLUMN ledger.field.data_type IS 'What kind of data it belongs to: profile, ratios, statements, calendar, dividends, splits, insider, analyst.';
COMMENT ON COLUMN ledger.field.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN ledger.field.meaning IS 'What it means.';

CREATE TABLE ledger.fundamental (
    instrument_id integer NOT NULL REFERENCES ledger.instrument,
    field         text NOT NULL,
    since         timestamptz NOT NULL,
    before        timestamptz CHECK (before > since),
    number        double precision CHECK (number > '-infinity' AND number < 'infinity'),
    words         text,
    day           date,
    currency      text,
    period        text NOT NULL,
    period_end    date,
    filed_at      timestamptz,
    provider      text,
    rule          text,
    state         text NOT NULL CHECK (state IN ('agree', 'disagree', 'single', 'none')),
    spread        double precision,
    snapshot_id   bigint REFERENCES ledger.snapshot,
    found_at      text,
    stands_in     boolean NOT NULL DEFAULT false,
    lasts         interval,
    candidates    jsonb NOT NULL,
    PRIMARY KEY (instrument_id, field, since),
    CHECK (num_nonnulls(number, words, day) = (state <> 'none')::integer)
);
CREATE UNIQUE INDEX fundamental_newest ON ledger.fundamental (instrument_id, field) WHERE before IS NULL;
COMMENT ON TABLE ledger.fundamental IS 'What the providers'' words made together, field by field, from when to when.';
COMMENT ON COLUMN ledger.fundamental.instrument_id IS 'The instrument.';
COMMENT ON COLUMN ledger.fundamental.field IS 'Name of the field.';
COMMENT ON COLUMN ledger.fundamental.since IS 'From when on that was so, UTC: when the last word that it follows from had been fetched.';
COMMENT ON COLUMN ledger.fundamental.before IS 'Until when, UTC; null: it still is.';
COMMENT ON COLUMN ledger.fundamental.number IS 'The value of a field that is a number.';
COMMENT ON COLUMN ledger.fundamental.words IS 'The value of a field that is text.';
COMMENT ON COLUMN ledger.fundamental.day IS 'The value of a field that is a date.';
COMMENT ON COLUMN ledger.fundamental.currency IS 'What an amount is in, ISO 4217; null for other fields.';
COMMENT ON COLUMN ledger.fundamental.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN ledger.fundamental.period_end IS 'Last day of that time; null where nobody says.';
COMMENT ON COLUMN ledger.fundamental.filed_at IS 'When it was published, UTC; null where the document does not say.';
COMMENT ON COLUMN ledger.fundamental.provider IS 'Who says so; several joined by + where their mean was taken.';
COMMENT ON COLUMN ledger.fundamental.rule IS 'Which rule chose it.';
COMMENT ON COLUMN ledger.fundamental.state IS 'agree or disagree with the others, single, or none: nobody says anything that may be believed.';
COMMENT ON COLUMN ledger.fundamental.spread IS 'How far those that can be compared lie apart, relative to the value; days for dates.';
COMMENT ON COLUMN ledger.fundamental.snapshot_id IS 'The snapshot that first said so.';
COMMENT ON COLUMN ledger.fundamental.found_at IS 'Where in that it is.';
COMMENT ON COLUMN ledger.fundamental.stands_in IS 'Whether it stands in for a newer value of the same provider that is held.';
COMMENT ON COLUMN ledger.fundamental.lasts IS 'How long after it was last confirmed it is no longer fresh.';
COMMENT ON COLUMN ledger.fundamental.candidates IS 'All that was said, in the order of priority: provider, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';

CREATE FUNCTION ledger.fundamentals_at(at timestamptz)
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
COMMENT ON FUNCTION ledger.fundamentals_at IS 'As market.fundamentals_asof, whose work it does. A query that names instruments looks at theirs alone, because this becomes a part of it.';
REVOKE ALL ON FUNCTION ledger.fundamentals_at FROM PUBLIC;

CREATE FUNCTION market.fundamentals_asof(at timestamptz)
RETURNS TABLE (instrument text, field text, value double precision, words text, day date, unit text, currency text, period text,
               period_end date, filed_at timestamptz, provider text, rule text, state text, spread double precision,
               since timestamptz, confirmed_at timestamptz, age interval, snapshot bigint, found_at text, candidates jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM ledger.fundamentals_at(fundamentals_asof.at);
END;
COMMENT ON FUNCTION market.fundamentals_asof IS 'The combined fundamentals as they were known at a moment: only of what had been fetched, and published, by then. Columns as in market.fundamentals_fields.';
REVOKE ALL ON FUNCTION market.fundamentals_asof FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.fundamentals_asof TO analyst;

CREATE VIEW market.fundamentals_fields AS SELECT * FROM market.fundamentals_asof(now());
COMMENT ON VIEW market.fundamentals_fields IS 'The combined fundamentals, a row for each field of an instrument, with who says so, by which rule, and what the others say.';
COMMENT ON COLUMN market.fundamentals_fields.instrument IS 'The instrument.';
COMMENT ON COLUMN market.fundamentals_fields.field IS 'Name of the field; market.fundamentals_dictionary says what it means.';
COMMENT ON COLUMN market.fundamentals_fields.value IS 'The value of a field that is a number; null if it is none, or if nobody says anything that may be believed.';
COMMENT ON COLUMN market.fundamentals_fields.words IS 'The value of a field that is text.';
COMMENT ON COLUMN market.fundamentals_fields.day IS 'The value of a field that is a date.';
COMMENT ON COLUMN market.fundamentals_fields.unit IS 'What the value is in, in words.';
COMMENT ON COLUMN market.fundamentals_fields.currency IS 'What an amount is in, ISO 4217; null for other fields.';
COMMENT ON COLUMN market.fundamentals_fields.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN market.fundamentals_fields.period_end IS 'Last day of that time; null where nobody says.';
COMMENT ON COLUMN market.fundamentals_fields.filed_at IS 'When it was published, UTC; null where the document does not say.';
COMMENT ON COLUMN market.fundamentals_fields.provider IS 'Who says so; several joined by + where their mean was taken.';
COMMENT ON COLUMN market.fundamentals_fields.rule IS 'Which rule chose it.';
COMMENT ON COLUMN market.fundamentals_fields.state IS 'agree or disagree with the others, single (nobody else says anything), stale (not confirmed for longer than it is good for), none (nobody says anything that may be believed).';
COMMENT ON COLUMN market.fundamentals_fields.spread IS 'How far those that can be compared lie apart, relative to the value; days for dates.';
COMMENT ON COLUMN market.fundamentals_fields.since IS 'From when on that was so, UTC.';
COMMENT ON COLUMN market.fundamentals_fields.confirmed_at IS 'When the provider last said so, UTC.';
COMMENT ON COLUMN market.fundamentals_fields.age IS 'How long ago that was.';
COMMENT ON COLUMN market.fundamentals_fields.snapshot IS 'The snapshot that first said so: id in market.fundamentals_snapshots.';
COMMENT ON COLUMN market.fundamentals_fields.found_at IS 'Where in its payload.';
COMMENT ON COLUMN market.fundamentals_fields.candidates IS 'All that was said, in the order of priority: provider, value, currency, period_end, filed_at, fetched_at, snapshot, found_at, verdict, why, and compared (the value in the currency of the others).';

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

CREATE VIEW market.fundamentals_values AS
SELECT i.key AS instrument, u.provider, v.field, v.period, v.period_end, v.number AS value, v.words, v.day, v.currency, v.filed_at,
       s.document, s.fetched_at, s.last_seen_at, s.id AS snapshot, v.found_at, v.held
FROM ledger.snapshot_value v JOIN ledger.snapshot s ON s.id = v.snapshot_id
JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id;
COMMENT ON VIEW market.fundamentals_values IS 'Every value that any provider stated, in the units of market.fundamentals_dictionary: what each said, and when.';
COMMENT ON COLUMN market.fundamentals_values.instrument IS 'The instrument.';
COMMENT ON COLUMN market.fundamentals_values.provider IS 'Who says so.';
COMMENT ON COLUMN market.fundamentals_values.field IS 'Name of the field.';
COMMENT ON COLUMN market.fundamentals_values.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN market.fundamentals_values.period_end IS 'Last day of that time; null where the document does not say.';
COMMENT ON COLUMN market.fundamentals_values.value IS 'The value of a field that is a number.';
COMMENT ON COLUMN market.fundamentals_values.words IS 'The value of a field that is text.';
COMMENT ON COLUMN market.fundamentals_values.day IS 'The value of a field that is a date.';
COMMENT ON COLUMN market.fundamentals_values.currency IS 'What an amount is in, ISO 4217; null for other fields.';
COMMENT ON COLUMN market.fundamentals_values.filed_at IS 'When it was published, UTC; null where the document does not say.';
COMMENT ON COLUMN market.fundamentals_values.document IS 'Which document it is read in.';
COMMENT ON COLUMN market.fundamentals_values.fetched_at IS 'When that first came, UTC.';
COMMENT ON COLUMN market.fundamentals_values.last_seen_at IS 'When it last came unchanged, UTC.';
COMMENT ON COLUMN market.fundamentals_values.snapshot IS 'Its number: id in market.fundamentals_snapshots.';
COMMENT ON COLUMN market.fundamentals_values.found_at IS 'Where in it.';
COMMENT ON COLUMN market.fundamentals_values.held IS 'Why it does not count: its scale changed, and nobody confirms it. Null if it counts.';

CREATE VIEW market.fundamentals_dictionary AS
SELECT name AS field, kind, unit, data_type, period, meaning FROM ledger.field ORDER BY place;
COMMENT ON VIEW market.fundamentals_dictionary IS 'What the fields of fundamentals mean.';
COMMENT ON COLUMN market.fundamentals_dictionary.field IS 'Name of the field.';
COMMENT ON COLUMN market.fundamentals_dictionary.kind IS 'amount, per_share, fraction, multiple, count, text or date.';
COMMENT ON COLUMN market.fundamentals_dictionary.unit IS 'What its values are in, in words.';
COMMENT ON COLUMN market.fundamentals_dictionary.data_type IS 'What kind of data it belongs to.';
COMMENT ON COLUMN market.fundamentals_dictionary.period IS 'What time it is about: annual, quarter, ttm (twelve months) or instant.';
COMMENT ON COLUMN market.fundamentals_dictionary.meaning IS 'What it means.';

CREATE FUNCTION ledger.make_fundamentals_view() RETURNS void LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
DECLARE
    one record;
    query text;
BEGIN
    SELECT 'CREATE OR REPLACE VIEW market.fundamentals AS SELECT f.instrument'
           || coalesce(string_agg(format(', max(f.%I) FILTER (WHERE f.field = %L) AS %I',
                                         CASE kind WHEN 'text' THEN 'words' WHEN 'date' THEN 'day' ELSE 'value' END, name, name),
                                  '' ORDER BY place), '')
           || ', array_agg(DISTINCT f.currency) FILTER (WHERE f.currency IS NOT NULL) AS currencies'
           || ', array_agg(f.field ORDER BY f.field) FILTER (WHERE f.state = ''disagree'') AS disagreeing'
           || ', array_agg(f.field ORDER BY f.field) FILTER (WHERE f.state = ''stale'') AS stale'
           || ', min(f.confirmed_at) AS confirmed_at FROM market.fundamentals_fields f GROUP BY f.instrument'
    INTO query FROM ledger.field;
    BEGIN
        EXECUTE query;
    EXCEPTION WHEN invalid_table_definition THEN
        DROP VIEW market.fundamentals;
        EXECUTE query;
    END;
    COMMENT ON VIEW market.fundamentals IS 'The combined fundamentals, one row for each instrument, a column for each field of market.fundamentals_dictionary.';
    COMMENT ON COLUMN market.fundamentals.instrument IS 'The instrument.';
    COMMENT ON COLUMN market.fundamentals.currencies IS 'What its amounts are in; if these are several, market.fundamentals_fields says which is in which.';
    COMMENT ON COLUMN market.fundamentals.disagreeing IS 'Fields about which providers disagree.';
    COMMENT ON COLUMN market.fundamentals.stale IS 'Fields that have not been confirmed for longer than they are good for.';
    COMMENT ON COLUMN market.fundamentals.confirmed_at IS 'When the field that was not confirmed for longest last was, UTC.';
    FOR one IN SELECT name, meaning, unit FROM ledger.field LOOP
        EXECUTE format('COMMENT ON COLUMN market.fundamentals.%I IS %L', one.name, one.meaning || ' In ' || one.unit || '.');
    END LOOP;
END $$;
COMMENT ON FUNCTION ledger.make_fundamentals_view IS 'Give market.fundamentals the columns that ledger.field names.';
SELECT ledger.make_fundamentals_view();

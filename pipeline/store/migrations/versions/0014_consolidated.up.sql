-- One series per instrument: which listing serves which of its minutes, and the bars above them.

ALTER TABLE ledger.listing ADD rank smallint NOT NULL DEFAULT 1 CHECK (rank > 0);
COMMENT ON COLUMN ledger.listing.rank IS 'Its place among the listings of its instrument: primaries as the universe lists them, then standbys by turn.';
CREATE INDEX listing_instrument ON ledger.listing (instrument_id);
ALTER TABLE ledger.instrument
    ADD method text NOT NULL DEFAULT 'primary',
    ADD session text REFERENCES ledger.session;
COMMENT ON COLUMN ledger.instrument.method IS 'By which method its listings are made one series.';
COMMENT ON COLUMN ledger.instrument.session IS 'When its market is open: the session of its first listing; null while it has none.';
UPDATE ledger.listing l SET rank = placed.rank
FROM (SELECT id, row_number() OVER (PARTITION BY instrument_id ORDER BY NOT in_universe, standby NULLS FIRST, id) AS rank
      FROM ledger.listing) AS placed WHERE placed.id = l.id;
UPDATE ledger.instrument i SET session = (
    SELECT session FROM ledger.listing l WHERE l.instrument_id = i.id ORDER BY NOT in_universe, rank, id LIMIT 1);

CREATE TABLE ledger.segment (
    instrument_id integer NOT NULL REFERENCES ledger.instrument,
    month         date NOT NULL CHECK (extract(day FROM month) = 1),
    listing_id    integer REFERENCES ledger.listing,
    during        tstzmultirange NOT NULL,
    alone         tstzmultirange NOT NULL,
    reason        text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (instrument_id, month, listing_id)
);
CREATE INDEX segment_listing ON ledger.segment (listing_id, month);
COMMENT ON TABLE ledger.segment IS 'Which listing serves which minutes of its instrument; no minute is served twice. Where anybody serves any of a month there is a row for each listing.';
COMMENT ON COLUMN ledger.segment.instrument_id IS 'The instrument.';
COMMENT ON COLUMN ledger.segment.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.segment.listing_id IS 'The listing; null: the minutes of several are combined, and stored in ledger.combined_1m.';
COMMENT ON COLUMN ledger.segment.during IS 'The minutes that it serves, with a bar or quiet, UTC.';
COMMENT ON COLUMN ledger.segment.alone IS 'The month without the open minutes that others serve, or that are expected before its first trade: bars within are its own.';
COMMENT ON COLUMN ledger.segment.reason IS 'Why it does: what those before it failed to deliver.';

CREATE TABLE ledger.unconsolidated (
    id            bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    instrument_id integer NOT NULL REFERENCES ledger.instrument,
    during        tstzmultirange NOT NULL CHECK (NOT isempty(during))
);
CREATE INDEX unconsolidated_instrument ON ledger.unconsolidated (instrument_id);
COMMENT ON TABLE ledger.unconsolidated IS 'Minutes of which an instrument''s series is to be worked out anew. Added to in the transaction that changes what it follows from.';
COMMENT ON COLUMN ledger.unconsolidated.id IS 'Internal number.';
COMMENT ON COLUMN ledger.unconsolidated.instrument_id IS 'The instrument.';
COMMENT ON COLUMN ledger.unconsolidated.during IS 'The minutes, UTC.';

CREATE TABLE ledger.combined_1m (
    instrument_id integer NOT NULL,
    ts            timestamptz NOT NULL,
    open          double precision NOT NULL,
    high          double precision NOT NULL,
    low           double precision NOT NULL,
    close         double precision NOT NULL,
    volume        double precision,
    vwap          double precision,
    trades        bigint,
    provider      text NOT NULL,
    PRIMARY KEY (instrument_id, ts)
) PARTITION BY RANGE (ts);
COMMENT ON TABLE ledger.combined_1m IS '1-minute bars that a method made of several listings'', one partition a calendar month; no provider delivered them.';
COMMENT ON COLUMN ledger.combined_1m.instrument_id IS 'The instrument; not a foreign key, because checking it would cost every written bar.';
COMMENT ON COLUMN ledger.combined_1m.ts IS 'Start of the minute, UTC.';
COMMENT ON COLUMN ledger.combined_1m.open IS 'First price.';
COMMENT ON COLUMN ledger.combined_1m.high IS 'Highest price.';
COMMENT ON COLUMN ledger.combined_1m.low IS 'Lowest price.';
COMMENT ON COLUMN ledger.combined_1m.close IS 'Last price.';
COMMENT ON COLUMN ledger.combined_1m.volume IS 'Traded amount in base units; null when nobody reports it.';
COMMENT ON COLUMN ledger.combined_1m.vwap IS 'Volume-weighted average price; null where the method gives none.';
COMMENT ON COLUMN ledger.combined_1m.trades IS 'Number of trades; null where the method gives none.';
COMMENT ON COLUMN ledger.combined_1m.provider IS 'Who took part, joined by +.';

CREATE FUNCTION ledger.ensure_combined_month(month date) RETURNS text LANGUAGE sql AS $$
    SELECT ledger.ensure_partition('combined_1m', 'combined_1m_' || to_char(month, 'YYYY_MM'), month::timestamp,
                                   month + interval '1 month', 'Combined minutes of ' || to_char(month, 'YYYY-MM') || '.')
$$;
COMMENT ON FUNCTION ledger.ensure_combined_month IS 'Make the partition of combined minutes of a month if it is not there; return its table name.';

CREATE FUNCTION ledger.delivered(of_listing integer, of_month date) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT c.answered - c.open * coalesce((
            SELECT range_agg(g.during) FROM ledger.gap g
            WHERE g.listing_id = c.listing_id AND g.reason = 'outage' AND g.during && range_merge(c.answered)), '{}')
        FROM ledger.coverage c WHERE (c.listing_id, c.month) = (of_listing, of_month)), '{}')
$$;
COMMENT ON FUNCTION ledger.delivered IS 'The minutes of a month that a listing delivered, with a bar or quiet: answered, and not in an outage.';

CREATE FUNCTION ledger.note_all(of_instrument integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ledger.unconsolidated (instrument_id, during)
    SELECT of_instrument, range_agg(during) FROM (
        SELECT c.answered AS during FROM ledger.listing l JOIN ledger.coverage c ON c.listing_id = l.id
        WHERE l.instrument_id = of_instrument
        UNION ALL SELECT during FROM ledger.segment WHERE instrument_id = of_instrument) AS known
    HAVING NOT isempty(range_agg(during))
$$;
COMMENT ON FUNCTION ledger.note_all IS 'Have all of an instrument''s series worked out anew.';

CREATE FUNCTION ledger.note_outage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.unconsolidated (instrument_id, during)
    SELECT l.instrument_id, changed.during
    FROM (SELECT OLD.listing_id AS id, tstzmultirange(OLD.during) AS during WHERE OLD.reason = 'outage'
          UNION ALL SELECT NEW.listing_id, tstzmultirange(NEW.during) WHERE NEW.reason = 'outage') AS changed
    JOIN ledger.listing l USING (id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_outage IS 'Note minutes that no longer, or only now, count as an outage.';
CREATE TRIGGER gap_unconsolidated AFTER INSERT OR UPDATE OR DELETE ON ledger.gap
FOR EACH ROW EXECUTE FUNCTION ledger.note_outage();

CREATE FUNCTION ledger.note_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.rank, OLD.in_universe, OLD.session) <> (NEW.rank, NEW.in_universe, NEW.session) THEN
        PERFORM ledger.note_all(NEW.instrument_id);
    ELSE
        INSERT INTO ledger.unconsolidated (instrument_id, during)
        SELECT NEW.instrument_id, range_agg(tstzrange(first, first + interval '1 minute'))
        FROM (SELECT first_trade AS first FROM ledger.listing WHERE instrument_id = NEW.instrument_id
              UNION ALL SELECT OLD.first_trade) AS known
        WHERE first IS NOT NULL HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_order IS 'Note what another order, session or first trade of an instrument''s listings changes.';
CREATE TRIGGER listing_unconsolidated AFTER UPDATE ON ledger.listing FOR EACH ROW
WHEN ((OLD.rank, OLD.in_universe, OLD.session, OLD.first_trade)
      IS DISTINCT FROM (NEW.rank, NEW.in_universe, NEW.session, NEW.first_trade))
EXECUTE FUNCTION ledger.note_order();

CREATE FUNCTION ledger.note_listing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.note_all(NEW.instrument_id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_listing IS 'Note that all of an instrument''s series follows one listing more.';
CREATE TRIGGER new_listing_unconsolidated AFTER INSERT ON ledger.listing FOR EACH ROW EXECUTE FUNCTION ledger.note_listing();

CREATE FUNCTION ledger.note_instrument() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.note_all(NEW.id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger.note_instrument IS 'Note that all of an instrument''s series follows another method or session.';
CREATE TRIGGER instrument_unconsolidated AFTER UPDATE ON ledger.instrument FOR EACH ROW
WHEN ((OLD.method, OLD.session) IS DISTINCT FROM (NEW.method, NEW.session)) EXECUTE FUNCTION ledger.note_instrument();

CREATE VIEW market.consolidated_1m AS
SELECT i.key AS instrument, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       NOT b.ts <@ m.open AS extended, l.provider, l.key AS listing, i.method
FROM ledger.instrument i
JOIN ledger.listing l ON l.instrument_id = i.id
JOIN ledger.bars_1m b ON b.listing_id = l.id
JOIN ledger.segment s ON s.listing_id = b.listing_id AND s.month = ledger.month_of(b.ts)
LEFT JOIN ledger.session_month m ON m.session = i.session AND m.month = s.month
-- As a bare condition it would be taken to hold for hardly any bar, and plans would be made for so few.
WHERE CASE WHEN b.ts <@ s.during THEN true ELSE false END
UNION ALL
SELECT i.key, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       NOT b.ts <@ m.open, b.provider, NULL, i.method
FROM ledger.instrument i
JOIN ledger.combined_1m b ON b.instrument_id = i.id
LEFT JOIN ledger.session_month m ON m.session = i.session AND m.month = ledger.month_of(b.ts);
COMMENT ON VIEW market.consolidated_1m IS 'One series of 1-minute bars per instrument, from its listings; each row says whose bar it is. A minute that its first listing answered without a trade has no row.';
COMMENT ON COLUMN market.consolidated_1m.instrument IS 'The instrument, as in market.instruments.';
COMMENT ON COLUMN market.consolidated_1m.ts IS 'Start of the minute, UTC; the bar covers [ts, ts + 1 minute).';
COMMENT ON COLUMN market.consolidated_1m.open IS 'First price, unadjusted.';
COMMENT ON COLUMN market.consolidated_1m.high IS 'Highest price, unadjusted.';
COMMENT ON COLUMN market.consolidated_1m.low IS 'Lowest price, unadjusted.';
COMMENT ON COLUMN market.consolidated_1m.close IS 'Last price, unadjusted.';
COMMENT ON COLUMN market.consolidated_1m.volume IS 'Traded amount in base units; null when not reported.';
COMMENT ON COLUMN market.consolidated_1m.vwap IS 'Volume-weighted average price; null when not reported, and where the method combines listings.';
COMMENT ON COLUMN market.consolidated_1m.trades IS 'Number of trades; null when not reported, and where the method combines listings.';
COMMENT ON COLUMN market.consolidated_1m.extended IS 'Whether its minute lies outside of the regular session.';
COMMENT ON COLUMN market.consolidated_1m.provider IS 'Whose bar it is; where the method combines listings, those who had one, joined by +.';
COMMENT ON COLUMN market.consolidated_1m.listing IS 'Name of the listing among its provider''s; null where the method combines listings.';
COMMENT ON COLUMN market.consolidated_1m.method IS 'The method that the universe chose for the instrument.';

CREATE VIEW market.consolidated_segments AS
SELECT i.key AS instrument, s.month, l.provider, l.key AS listing, ledger.minutes(s.during * m.open) AS minutes,
       s.during, s.reason, i.method
FROM ledger.segment s
JOIN ledger.instrument i ON i.id = s.instrument_id
LEFT JOIN ledger.listing l ON l.id = s.listing_id
LEFT JOIN ledger.session_month m ON m.session = i.session AND m.month = s.month
WHERE NOT isempty(s.during);
COMMENT ON VIEW market.consolidated_segments IS 'Which listing serves which minutes of an instrument''s series, and why.';
COMMENT ON COLUMN market.consolidated_segments.instrument IS 'The instrument.';
COMMENT ON COLUMN market.consolidated_segments.month IS 'First day of the UTC month.';
COMMENT ON COLUMN market.consolidated_segments.provider IS 'The provider; null where the method combines listings.';
COMMENT ON COLUMN market.consolidated_segments.listing IS 'Name of the listing among its provider''s; null likewise.';
COMMENT ON COLUMN market.consolidated_segments.minutes IS 'How many open minutes it serves, with a bar or quiet.';
COMMENT ON COLUMN market.consolidated_segments.during IS 'The minutes, UTC; also those outside of the regular session.';
COMMENT ON COLUMN market.consolidated_segments.reason IS 'Why: what the listings before it failed to deliver.';
COMMENT ON COLUMN market.consolidated_segments.method IS 'The method that the universe chose for the instrument.';

CREATE FUNCTION ledger.add_consolidated(timeframe_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stored constant text := 'consolidated_' || timeframe_name;
    bars constant text := 'bars_' || timeframe_name;
    relation text;
    said record;
BEGIN
    EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I, provider text NOT NULL)', stored, bars);
    EXECUTE format('ALTER TABLE ledger.%I RENAME listing_id TO instrument_id', stored);
    EXECUTE format('ALTER TABLE ledger.%I ADD PRIMARY KEY (instrument_id, ts)', stored);
    EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', stored, format(
        'Bars of %s of instruments in which the minutes of several listings meet; all others are the listings'' own.', timeframe_name));
    EXECUTE format('COMMENT ON COLUMN ledger.%I.instrument_id IS %L', stored,
                   'The instrument; not a foreign key, because checking it would cost every written bar.');
    EXECUTE format('COMMENT ON COLUMN ledger.%I.provider IS %L', stored, 'Whose minutes it is made of, joined by +.');
    EXECUTE format($ddl$
        CREATE VIEW market.%1$I AS
        SELECT i.key AS instrument, b.ts, b.before, b.session_date, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
               b.minutes_expected, b.minutes_present, b.complete, l.provider, l.key AS listing, i.method
        FROM ledger.instrument i
        JOIN ledger.listing l ON l.instrument_id = i.id AND l.session = i.session
        JOIN ledger.%2$I b ON b.listing_id = l.id
        LEFT JOIN ledger.segment s ON s.listing_id = b.listing_id AND s.month = ledger.month_of(b.ts)
        -- A bar is its listing's own when nobody else speaks for a minute of it.
        WHERE CASE WHEN b.before <= (ledger.month_of(b.ts) + interval '1 month') AT TIME ZONE 'UTC'
                   THEN tstzrange(b.ts, b.before) <@ s.alone
                   ELSE (SELECT bool_and(coalesce(tstzrange(b.ts, b.before) * tstzrange(
                                    o.month::timestamp AT TIME ZONE 'UTC',
                                    (o.month + interval '1 month') AT TIME ZONE 'UTC') <@ own.alone, false))
                         FROM ledger.segment o LEFT JOIN ledger.segment own
                              ON (own.listing_id, own.month) = (b.listing_id, o.month)
                         WHERE o.instrument_id = i.id
                           AND o.month BETWEEN ledger.month_of(b.ts) AND ledger.month_of(b.before)) END
        UNION ALL
        SELECT i.key, b.ts, b.before, b.session_date, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
               b.minutes_expected, b.minutes_present, b.complete, b.provider, NULL, i.method
        FROM ledger.instrument i JOIN ledger.%1$I b ON b.instrument_id = i.id $ddl$, stored, bars);
    EXECUTE format('COMMENT ON VIEW market.%I IS %L', stored, format(
        'One series of bars of %s per instrument, from its listings. Where the minutes of one listing make up a bar it is that listing''s own; else it is built from market.consolidated_1m.',
        timeframe_name));
    FOR said IN SELECT * FROM (VALUES
        ('instrument', 'The instrument, as in market.instruments.'),
        ('provider', 'Whose minutes it is made of; several are joined by +.'),
        ('listing', 'Name of the listing among its provider''s; null where the bar is of several.'),
        ('method', 'The method that the universe chose for the instrument.')
    ) AS named(field, meaning) LOOP
        EXECUTE format('COMMENT ON COLUMN market.%I.%I IS %L', stored, said.field, said.meaning);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['ledger', 'market'] LOOP
        FOR said IN
            SELECT a.attname AS field, col_description(a.attrelid, a.attnum) AS meaning FROM pg_attribute a
            WHERE a.attrelid = format('ledger.%I', bars)::regclass AND a.attnum > 0 AND a.attname <> 'listing_id'
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', relation, stored, said.field, said.meaning);
        END LOOP;
    END LOOP;
    PERFORM ledger.note_all(id) FROM ledger.instrument;
END $$;
COMMENT ON FUNCTION ledger.add_consolidated IS 'Make table and view of the consolidated bars of a timeframe, and have them built.';

CREATE FUNCTION ledger.drop_consolidated(timeframe_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP VIEW market.%I', 'consolidated_' || timeframe_name);
    EXECUTE format('DROP TABLE ledger.%I', 'consolidated_' || timeframe_name);
END $$;
-- Whoever waits to drop a view that is being read keeps all others from reading it meanwhile.
ALTER FUNCTION ledger.drop_consolidated SET lock_timeout = '3s';
COMMENT ON FUNCTION ledger.drop_consolidated IS 'Remove the consolidated bars of a timeframe that is no longer wanted.';

SELECT ledger.add_consolidated(name) FROM ledger.timeframe;
SELECT ledger.note_all(id) FROM ledger.instrument;

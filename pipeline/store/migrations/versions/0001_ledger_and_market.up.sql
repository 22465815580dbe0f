-- The ledger (ours to change) and the market schema (the contract with analysts).

CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'Minute Ledger''s own tables; their form may change with any release.';
CREATE SCHEMA market;
COMMENT ON SCHEMA market IS 'Read-only views for analysts; their form is a contract.';

CREATE TABLE ledger.instrument (
    id          integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    key         text NOT NULL UNIQUE,
    asset_class text NOT NULL,
    name        text
);
COMMENT ON TABLE ledger.instrument IS 'The things themselves: BTC-USD spot, AAPL common stock.';
COMMENT ON COLUMN ledger.instrument.id IS 'Internal number.';
COMMENT ON COLUMN ledger.instrument.key IS 'Name in the universe file.';
COMMENT ON COLUMN ledger.instrument.asset_class IS 'crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index.';
COMMENT ON COLUMN ledger.instrument.name IS 'Name for people, if the universe gives one.';

CREATE TABLE ledger.listing (
    id                     integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    instrument_id          integer NOT NULL REFERENCES ledger.instrument,
    provider               text NOT NULL,
    key                    text NOT NULL,
    symbol                 text NOT NULL,
    session                text NOT NULL,
    starts_at              timestamptz NOT NULL,
    ends_at                timestamptz,
    first_trade            timestamptz,
    first_trade_evidence   text,
    first_trade_checked_at timestamptz,
    in_universe            boolean NOT NULL DEFAULT true,
    created_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, key),
    CHECK (ends_at > starts_at)
);
COMMENT ON TABLE ledger.listing IS 'One instrument at one provider: the unit of download.';
COMMENT ON COLUMN ledger.listing.id IS 'Internal number, part of the key of every bar.';
COMMENT ON COLUMN ledger.listing.instrument_id IS 'The instrument that is listed.';
COMMENT ON COLUMN ledger.listing.provider IS 'Name of the provider in the universe file.';
COMMENT ON COLUMN ledger.listing.key IS 'Name of the listing among its provider''s, and its Dagster partition key.';
COMMENT ON COLUMN ledger.listing.symbol IS 'The provider''s symbol, as the universe file gives it.';
COMMENT ON COLUMN ledger.listing.session IS 'When the market is open: 24x7.';
COMMENT ON COLUMN ledger.listing.starts_at IS 'First minute wanted, UTC.';
COMMENT ON COLUMN ledger.listing.ends_at IS 'First minute no longer wanted, UTC; null while there is no end.';
COMMENT ON COLUMN ledger.listing.first_trade IS 'First minute that the provider has, UTC; null while it is not known.';
COMMENT ON COLUMN ledger.listing.first_trade_evidence IS 'How the first trade was found.';
COMMENT ON COLUMN ledger.listing.first_trade_checked_at IS 'When the provider was last asked for the first trade.';
COMMENT ON COLUMN ledger.listing.in_universe IS 'Whether the universe file still names it; if not, nothing more is asked and all is kept.';
COMMENT ON COLUMN ledger.listing.created_at IS 'When the listing was first seen in the universe file.';

CREATE TABLE ledger.bars_1m (
    listing_id integer NOT NULL,
    ts         timestamptz NOT NULL,
    open       double precision NOT NULL,
    high       double precision NOT NULL,
    low        double precision NOT NULL,
    close      double precision NOT NULL,
    volume     double precision,
    vwap       double precision,
    trades     bigint,
    PRIMARY KEY (listing_id, ts)
) PARTITION BY RANGE (ts);
COMMENT ON TABLE ledger.bars_1m IS '1-minute bars as delivered, one partition a calendar month.';
COMMENT ON COLUMN ledger.bars_1m.listing_id IS 'The listing; not a foreign key, because checking it would cost every written bar.';
COMMENT ON COLUMN ledger.bars_1m.ts IS 'Start of the minute, UTC; the bar covers [ts, ts + 1 minute).';
COMMENT ON COLUMN ledger.bars_1m.open IS 'First price.';
COMMENT ON COLUMN ledger.bars_1m.high IS 'Highest price.';
COMMENT ON COLUMN ledger.bars_1m.low IS 'Lowest price.';
COMMENT ON COLUMN ledger.bars_1m.close IS 'Last price.';
COMMENT ON COLUMN ledger.bars_1m.volume IS 'Traded amount in base units; null when the provider does not report it.';
COMMENT ON COLUMN ledger.bars_1m.vwap IS 'Volume-weighted average price; null when the provider does not report it.';
COMMENT ON COLUMN ledger.bars_1m.trades IS 'Number of trades; null when the provider does not report it.';

CREATE TABLE ledger.coverage (
    listing_id  integer NOT NULL REFERENCES ledger.listing,
    month       date NOT NULL CHECK (extract(day FROM month) = 1),
    answered    tstzmultirange NOT NULL DEFAULT '{}',
    settled     tstzmultirange NOT NULL DEFAULT '{}',
    unavailable tstzmultirange NOT NULL DEFAULT '{}',
    bars        integer NOT NULL DEFAULT 0 CHECK (bars >= 0),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (listing_id, month),
    CHECK (settled <@ answered),
    CHECK (NOT answered && unavailable)
);
COMMENT ON TABLE ledger.coverage IS 'What each provider has properly answered, per listing and month. Every stored bar lies in an answered minute.';
COMMENT ON COLUMN ledger.coverage.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.coverage.month IS 'First day of the UTC month.';
COMMENT ON COLUMN ledger.coverage.answered IS 'Minutes that the provider has answered, with a bar or without.';
COMMENT ON COLUMN ledger.coverage.settled IS 'Answered minutes that were answered late enough to be final.';
COMMENT ON COLUMN ledger.coverage.unavailable IS 'Minutes that the provider can no longer serve.';
COMMENT ON COLUMN ledger.coverage.bars IS 'Number of stored bars in the month, kept in the transaction that writes them.';
COMMENT ON COLUMN ledger.coverage.updated_at IS 'When this row last changed.';

CREATE TABLE ledger.fetch_failure (
    id              bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    listing_id      integer NOT NULL REFERENCES ledger.listing,
    during          tstzrange NOT NULL CHECK (NOT isempty(during)),
    error           text NOT NULL,
    message         text NOT NULL,
    attempts        integer NOT NULL,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    next_attempt_at timestamptz
);
CREATE INDEX fetch_failure_listing ON ledger.fetch_failure USING gist (during) INCLUDE (listing_id);
CREATE INDEX fetch_failure_listing_id ON ledger.fetch_failure (listing_id);
COMMENT ON TABLE ledger.fetch_failure IS 'Ranges that were asked for and not properly answered. Where they overlap answered ones, it was the confirmation that failed.';
COMMENT ON COLUMN ledger.fetch_failure.id IS 'Internal number.';
COMMENT ON COLUMN ledger.fetch_failure.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.fetch_failure.during IS 'The minutes, half-open, UTC.';
COMMENT ON COLUMN ledger.fetch_failure.error IS 'Class of the error.';
COMMENT ON COLUMN ledger.fetch_failure.message IS 'What was wrong and what to do; holds no secret.';
COMMENT ON COLUMN ledger.fetch_failure.attempts IS 'How often it has failed in a row.';
COMMENT ON COLUMN ledger.fetch_failure.first_failed_at IS 'When it first failed.';
COMMENT ON COLUMN ledger.fetch_failure.last_failed_at IS 'When it last failed.';
COMMENT ON COLUMN ledger.fetch_failure.next_attempt_at IS 'When it is due again; null when somebody has to act first.';

CREATE TABLE ledger.bar_revision (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    listing_id integer NOT NULL REFERENCES ledger.listing,
    ts         timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    old_open   double precision NOT NULL, new_open   double precision,
    old_high   double precision NOT NULL, new_high   double precision,
    old_low    double precision NOT NULL, new_low    double precision,
    old_close  double precision NOT NULL, new_close  double precision,
    old_volume double precision,          new_volume double precision,
    old_vwap   double precision,          new_vwap   double precision,
    old_trades bigint,                    new_trades bigint
);
CREATE INDEX bar_revision_listing_ts ON ledger.bar_revision (listing_id, ts);
COMMENT ON TABLE ledger.bar_revision IS 'Stored bars that the provider later gave differently. All new values null: it gave none, and the stored bar stays.';
COMMENT ON COLUMN ledger.bar_revision.id IS 'Internal number.';
COMMENT ON COLUMN ledger.bar_revision.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.bar_revision.ts IS 'The minute, UTC.';
COMMENT ON COLUMN ledger.bar_revision.seen_at IS 'When the different answer arrived.';
COMMENT ON COLUMN ledger.bar_revision.old_open IS 'open before.';
COMMENT ON COLUMN ledger.bar_revision.new_open IS 'open now.';
COMMENT ON COLUMN ledger.bar_revision.old_high IS 'high before.';
COMMENT ON COLUMN ledger.bar_revision.new_high IS 'high now.';
COMMENT ON COLUMN ledger.bar_revision.old_low IS 'low before.';
COMMENT ON COLUMN ledger.bar_revision.new_low IS 'low now.';
COMMENT ON COLUMN ledger.bar_revision.old_close IS 'close before.';
COMMENT ON COLUMN ledger.bar_revision.new_close IS 'close now.';
COMMENT ON COLUMN ledger.bar_revision.old_volume IS 'volume before.';
COMMENT ON COLUMN ledger.bar_revision.new_volume IS 'volume now.';
COMMENT ON COLUMN ledger.bar_revision.old_vwap IS 'vwap before.';
COMMENT ON COLUMN ledger.bar_revision.new_vwap IS 'vwap now.';
COMMENT ON COLUMN ledger.bar_revision.old_trades IS 'trades before.';
COMMENT ON COLUMN ledger.bar_revision.new_trades IS 'trades now.';

CREATE TABLE ledger.quarantine (
    id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    listing_id  integer NOT NULL REFERENCES ledger.listing,
    rule        text NOT NULL,
    bar         jsonb NOT NULL,
    refused_at  timestamptz NOT NULL
);
CREATE INDEX quarantine_listing ON ledger.quarantine (listing_id, refused_at);
COMMENT ON TABLE ledger.quarantine IS 'Delivered rows that were refused. Their minutes do not count as answered.';
COMMENT ON COLUMN ledger.quarantine.id IS 'Internal number.';
COMMENT ON COLUMN ledger.quarantine.listing_id IS 'The listing.';
COMMENT ON COLUMN ledger.quarantine.rule IS 'The rule that the row broke.';
COMMENT ON COLUMN ledger.quarantine.bar IS 'The row as it was understood; numbers that JSON cannot hold are text.';
COMMENT ON COLUMN ledger.quarantine.refused_at IS 'When it was refused.';

CREATE FUNCTION ledger.minutes(ranges tstzmultirange) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint
        FROM unnest(ranges) AS piece);
COMMENT ON FUNCTION ledger.minutes IS 'The number of minutes in a set of ranges.';

CREATE FUNCTION ledger.ensure_bars_month(month date) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'bars_1m_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('ledger.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    -- Keeps two writers from making the same table, and no reader or writer of bars waits for it. An
    -- advisory lock would not do: only a lock on a relation shows what others have made meanwhile.
    LOCK TABLE ledger.bars_1m IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('ledger.' || name) IS NULL THEN
        -- Attaching a finished table locks out no reader; CREATE TABLE ... PARTITION OF would.
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.bars_1m INCLUDING ALL)', name);
        EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', name,
                       '1-minute bars of ' || to_char(month, 'YYYY-MM') || '.');
        EXECUTE format('ALTER TABLE ledger.bars_1m ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                       name, month::timestamp AT TIME ZONE 'UTC',
                       (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END IF;
    RETURN name;
END $$;
COMMENT ON FUNCTION ledger.ensure_bars_month IS 'Make the partition of a month if it is not there; return its table name.';

CREATE VIEW market.instruments AS
SELECT key AS instrument, asset_class, name FROM ledger.instrument;
COMMENT ON VIEW market.instruments IS 'The things themselves, whoever lists them.';
COMMENT ON COLUMN market.instruments.instrument IS 'Name of the instrument.';
COMMENT ON COLUMN market.instruments.asset_class IS 'crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index.';
COMMENT ON COLUMN market.instruments.name IS 'Name for people.';

CREATE VIEW market.listings AS
SELECT l.provider, l.key AS listing, i.key AS instrument, i.asset_class, l.symbol, l.session,
       l.starts_at, l.ends_at, l.first_trade, l.first_trade_evidence, l.in_universe
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id;
COMMENT ON VIEW market.listings IS 'Instruments at providers.';
COMMENT ON COLUMN market.listings.provider IS 'The provider.';
COMMENT ON COLUMN market.listings.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.listings.instrument IS 'The instrument that is listed.';
COMMENT ON COLUMN market.listings.asset_class IS 'Asset class of the instrument.';
COMMENT ON COLUMN market.listings.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.listings.session IS 'When the market is open: 24x7.';
COMMENT ON COLUMN market.listings.starts_at IS 'First minute wanted, UTC.';
COMMENT ON COLUMN market.listings.ends_at IS 'First minute no longer wanted, UTC.';
COMMENT ON COLUMN market.listings.first_trade IS 'First minute that the provider has, UTC.';
COMMENT ON COLUMN market.listings.first_trade_evidence IS 'How the first trade was found.';
COMMENT ON COLUMN market.listings.in_universe IS 'Whether it is still kept up to date.';

CREATE VIEW market.bars_1m AS
SELECT l.provider, l.key AS listing, l.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades
FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id;
COMMENT ON VIEW market.bars_1m IS '1-minute bars as the providers delivered them; minutes without a bar are explained in market.coverage.';
COMMENT ON COLUMN market.bars_1m.provider IS 'The provider.';
COMMENT ON COLUMN market.bars_1m.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.bars_1m.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.bars_1m.ts IS 'Start of the minute, UTC; the bar covers [ts, ts + 1 minute).';
COMMENT ON COLUMN market.bars_1m.open IS 'First price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.high IS 'Highest price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.low IS 'Lowest price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.close IS 'Last price, unadjusted.';
COMMENT ON COLUMN market.bars_1m.volume IS 'Traded amount in base units; null when not reported.';
COMMENT ON COLUMN market.bars_1m.vwap IS 'Volume-weighted average price; null when not reported.';
COMMENT ON COLUMN market.bars_1m.trades IS 'Number of trades; null when not reported.';

CREATE VIEW market.coverage AS
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
COMMENT ON VIEW market.coverage IS 'What became of every expected minute, per listing and month: expected = bars + empty + failed + unavailable + pending.';
COMMENT ON COLUMN market.coverage.provider IS 'The provider.';
COMMENT ON COLUMN market.coverage.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.coverage.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.coverage.month IS 'First day of the UTC month.';
COMMENT ON COLUMN market.coverage.expected IS 'Minutes of the listing''s life in that month, up to now.';
COMMENT ON COLUMN market.coverage.bars IS 'Minutes with a stored bar.';
COMMENT ON COLUMN market.coverage.empty IS 'Minutes that the provider answered without a bar.';
COMMENT ON COLUMN market.coverage.failed IS 'Minutes that were asked for and not properly answered.';
COMMENT ON COLUMN market.coverage.unavailable IS 'Minutes that the provider can no longer serve.';
COMMENT ON COLUMN market.coverage.pending IS 'Minutes not asked for yet.';
COMMENT ON COLUMN market.coverage.settled IS 'Answered minutes that are final.';
COMMENT ON COLUMN market.coverage.percent IS 'Answered minutes as a percentage of the expected ones.';

CREATE VIEW market.failures AS
SELECT l.provider, l.key AS listing, l.symbol, lower(f.during) AS since, upper(f.during) AS before, f.error, f.message,
       f.attempts, f.first_failed_at, f.last_failed_at, f.next_attempt_at
FROM ledger.fetch_failure f JOIN ledger.listing l ON l.id = f.listing_id;
COMMENT ON VIEW market.failures IS 'Ranges that were asked for and not properly answered.';
COMMENT ON COLUMN market.failures.provider IS 'The provider.';
COMMENT ON COLUMN market.failures.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.failures.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.failures.since IS 'First minute of the range, UTC.';
COMMENT ON COLUMN market.failures.before IS 'First minute after the range, UTC.';
COMMENT ON COLUMN market.failures.error IS 'Class of the error.';
COMMENT ON COLUMN market.failures.message IS 'What was wrong and what to do.';
COMMENT ON COLUMN market.failures.attempts IS 'How often it has failed in a row.';
COMMENT ON COLUMN market.failures.first_failed_at IS 'When it first failed.';
COMMENT ON COLUMN market.failures.last_failed_at IS 'When it last failed.';
COMMENT ON COLUMN market.failures.next_attempt_at IS 'When it is due again; null when somebody has to act first.';

CREATE VIEW market.revisions AS
SELECT l.provider, l.key AS listing, l.symbol, r.ts, r.seen_at,
       r.old_open, r.new_open, r.old_high, r.new_high, r.old_low, r.new_low, r.old_close, r.new_close,
       r.old_volume, r.new_volume, r.old_vwap, r.new_vwap, r.old_trades, r.new_trades
FROM ledger.bar_revision r JOIN ledger.listing l ON l.id = r.listing_id;
COMMENT ON VIEW market.revisions IS 'Stored bars that the provider later gave differently. All new values null: it gave none, and the stored bar stays.';
COMMENT ON COLUMN market.revisions.provider IS 'The provider.';
COMMENT ON COLUMN market.revisions.listing IS 'Name of the listing among its provider''s.';
COMMENT ON COLUMN market.revisions.symbol IS 'The provider''s symbol.';
COMMENT ON COLUMN market.revisions.ts IS 'The minute, UTC.';
COMMENT ON COLUMN market.revisions.seen_at IS 'When the different answer arrived.';
COMMENT ON COLUMN market.revisions.old_open IS 'open before.';
COMMENT ON COLUMN market.revisions.new_open IS 'open now.';
COMMENT ON COLUMN market.revisions.old_high IS 'high before.';
COMMENT ON COLUMN market.revisions.new_high IS 'high now.';
COMMENT ON COLUMN market.revisions.old_low IS 'low before.';
COMMENT ON COLUMN market.revisions.new_low IS 'low now.';
COMMENT ON COLUMN market.revisions.old_close IS 'close before.';
COMMENT ON COLUMN market.revisions.new_close IS 'close now.';
COMMENT ON COLUMN market.revisions.old_volume IS 'volume before.';
COMMENT ON COLUMN market.revisions.new_volume IS 'volume now.';
COMMENT ON COLUMN market.revisions.old_vwap IS 'vwap before.';
COMMENT ON COLUMN market.revisions.new_vwap IS 'vwap now.';
COMMENT ON COLUMN market.revisions.old_trades IS 'trades before.';
COMMENT ON COLUMN market.revisions.new_trades IS 'trades now.';

-- A role is shared by all databases of a server, so another installation may have made it.
DO $$ BEGIN
    CREATE ROLE analyst NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;
GRANT USAGE ON SCHEMA market TO analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA market TO analyst;
ALTER DEFAULT PRIVILEGES IN SCHEMA market GRANT SELECT ON TABLES TO analyst;

-- The providers' market lists.

CREATE TABLE ledger.market (
    provider    text NOT NULL,
    asset_class text NOT NULL,
    symbol      text NOT NULL,
    instrument  text NOT NULL,
    base        text NOT NULL,
    quote       text NOT NULL,
    contract    text NOT NULL,
    name        text,
    native_id   text,
    spellings   text[] NOT NULL,
    active      boolean,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    vanished_at timestamptz,
    PRIMARY KEY (provider, asset_class, symbol),
    CHECK (first_seen <= last_seen AND last_seen <= vanished_at)
);
COMMENT ON TABLE ledger.market IS 'Every market that was ever in a provider''s list, as it was listed last.';
COMMENT ON COLUMN ledger.market.provider IS 'Name of the provider in the universe file.';
COMMENT ON COLUMN ledger.market.asset_class IS 'crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index.';
COMMENT ON COLUMN ledger.market.symbol IS 'The provider''s own symbol.';
COMMENT ON COLUMN ledger.market.instrument IS 'The instrument''s normal form, the same at all providers.';
COMMENT ON COLUMN ledger.market.base IS 'What is traded, in its common code.';
COMMENT ON COLUMN ledger.market.quote IS 'What it is paid in.';
COMMENT ON COLUMN ledger.market.contract IS 'What tells contracts of one pair apart: what it is settled in, and its last day; empty where there is none.';
COMMENT ON COLUMN ledger.market.name IS 'Its name in words; null where the provider has none.';
COMMENT ON COLUMN ledger.market.native_id IS 'The provider''s own number for it; null where it has none.';
COMMENT ON COLUMN ledger.market.spellings IS 'What else the provider itself calls it.';
COMMENT ON COLUMN ledger.market.active IS 'Whether the provider says that it trades; null when it does not say.';
COMMENT ON COLUMN ledger.market.first_seen IS 'When it was first in a list; of a symbol that was given to another market: since then.';
COMMENT ON COLUMN ledger.market.last_seen IS 'When it was last in a list.';
COMMENT ON COLUMN ledger.market.vanished_at IS 'When it was first missing from a list; null while it is listed.';

CREATE TABLE ledger.market_change (
    id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    provider    text NOT NULL,
    at          timestamptz NOT NULL,
    change      text NOT NULL CHECK (change IN ('new', 'returned', 'vanished', 'renamed', 'replaced')),
    asset_class text NOT NULL,
    symbol      text NOT NULL,
    instrument  text NOT NULL,
    old_symbol  text,
    sure        boolean NOT NULL,
    evidence    text,
    CHECK ((change = 'renamed') = (old_symbol IS NOT NULL))
);
CREATE INDEX market_change_symbol ON ledger.market_change (provider, symbol);
COMMENT ON TABLE ledger.market_change IS 'What changed from one market list of a provider to the next. The first list of a provider is no change.';
COMMENT ON COLUMN ledger.market_change.id IS 'Number of the change.';
COMMENT ON COLUMN ledger.market_change.provider IS 'Name of the provider in the universe file.';
COMMENT ON COLUMN ledger.market_change.at IS 'When the list was taken that shows it.';
COMMENT ON COLUMN ledger.market_change.change IS 'new, returned, vanished, renamed, or replaced: the symbol names another market now.';
COMMENT ON COLUMN ledger.market_change.asset_class IS 'The market''s asset class.';
COMMENT ON COLUMN ledger.market_change.symbol IS 'The provider''s symbol; the new one if it was renamed.';
COMMENT ON COLUMN ledger.market_change.instrument IS 'The instrument''s normal form.';
COMMENT ON COLUMN ledger.market_change.old_symbol IS 'The symbol before it was renamed; null for other changes.';
COMMENT ON COLUMN ledger.market_change.sure IS 'False for what is only a guess.';
COMMENT ON COLUMN ledger.market_change.evidence IS 'How it is known; null where the lists say it plainly.';

CREATE VIEW market.markets AS
SELECT provider, symbol, asset_class, instrument, base, quote, nullif(contract, '') AS contract, name, active,
       first_seen, last_seen, vanished_at
FROM ledger.market;
COMMENT ON VIEW market.markets IS 'Every market that was ever in a provider''s list. What is listed now has vanished_at null.';
COMMENT ON COLUMN market.markets.provider IS 'The provider.';
COMMENT ON COLUMN market.markets.symbol IS 'The provider''s own symbol.';
COMMENT ON COLUMN market.markets.asset_class IS 'crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index.';
COMMENT ON COLUMN market.markets.instrument IS 'The instrument''s normal form, the same at all providers.';
COMMENT ON COLUMN market.markets.base IS 'What is traded, in its common code.';
COMMENT ON COLUMN market.markets.quote IS 'What it is paid in.';
COMMENT ON COLUMN market.markets.contract IS 'What it is settled in, and its last day (USDT-241227); null where there is none.';
COMMENT ON COLUMN market.markets.name IS 'Its name in words; null where the provider has none.';
COMMENT ON COLUMN market.markets.active IS 'Whether the provider says that it trades; null when it does not say.';
COMMENT ON COLUMN market.markets.first_seen IS 'When it was first in a list, UTC.';
COMMENT ON COLUMN market.markets.last_seen IS 'When it was last in a list, UTC.';
COMMENT ON COLUMN market.markets.vanished_at IS 'When it was first missing from a list, UTC; null while it is listed.';

CREATE VIEW market.market_changes AS
SELECT provider, at, change, asset_class, symbol, instrument, old_symbol, sure, evidence FROM ledger.market_change;
COMMENT ON VIEW market.market_changes IS 'Markets that are new, returned, vanished, renamed or replaced by another under the same symbol.';
COMMENT ON COLUMN market.market_changes.provider IS 'The provider.';
COMMENT ON COLUMN market.market_changes.at IS 'When the list was taken that shows it, UTC.';
COMMENT ON COLUMN market.market_changes.change IS 'new, returned, vanished, renamed, or replaced: the symbol names another market now.';
COMMENT ON COLUMN market.market_changes.asset_class IS 'The market''s asset class.';
COMMENT ON COLUMN market.market_changes.symbol IS 'The provider''s symbol; the new one if it was renamed.';
COMMENT ON COLUMN market.market_changes.instrument IS 'The instrument''s normal form.';
COMMENT ON COLUMN market.market_changes.old_symbol IS 'The symbol before it was renamed; null for other changes.';
COMMENT ON COLUMN market.market_changes.sure IS 'False for what is only a guess.';
COMMENT ON COLUMN market.market_changes.evidence IS 'How it is known; null where the lists say it plainly.';

DO $$ BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW market.coverage AS ' || replace(pg_get_viewdef('market.coverage'::regclass), 'ledger.now()', 'now()');
    EXECUTE 'CREATE OR REPLACE VIEW market.gaps AS ' || replace(pg_get_viewdef('market.gaps'::regclass), 'ledger.now()', 'now()');
    EXECUTE replace(pg_get_functiondef('ledger.undelivered'::regproc), 'ledger.now()', 'now()');
END $$;

CREATE OR REPLACE FUNCTION ledger.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('minuteledger.now', true), '')::timestamptz, now());
COMMENT ON FUNCTION ledger.now IS 'The present: that of the server, or the one that a session has set as minuteledger.now.';

-- One present for all that counts minutes: the server's, or that of a rehearsal's clock.

CREATE OR REPLACE FUNCTION ledger.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN coalesce(current_setting('minuteledger.clock', true), '') = '' THEN now()
            ELSE to_timestamp(split_part(current_setting('minuteledger.clock'), ' ', 2)::float8
                              + (extract(epoch FROM now())::float8 - split_part(current_setting('minuteledger.clock'), ' ', 1)::float8)
                                * split_part(current_setting('minuteledger.clock'), ' ', 3)::float8) END;
COMMENT ON FUNCTION ledger.now IS 'The present: that of the server, or of the clock that a session has set as minuteledger.clock: what the server''s shows, in seconds since 1970, what this one shows then, and how many times as fast it goes.';

-- What of them is about minutes of markets takes it for now; nothing else of them changes.
DO $$ BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW market.coverage AS ' || replace(pg_get_viewdef('market.coverage'::regclass), 'now()', 'ledger.now()');
    EXECUTE 'CREATE OR REPLACE VIEW market.gaps AS ' || replace(pg_get_viewdef('market.gaps'::regclass), 'now()', 'ledger.now()');
    EXECUTE replace(pg_get_functiondef('ledger.undelivered'::regproc), 'now()', 'ledger.now()');
END $$;

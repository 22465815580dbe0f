-- Back to taking every provider without an account for one that was asked before there were accounts.

CREATE OR REPLACE FUNCTION ledger.lock_account(account_name text, provider_name text) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    is_new boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.account ' || account_name, 0));
    IF NOT EXISTS (SELECT FROM ledger.request r WHERE r.account = account_name) THEN
        INSERT INTO ledger.account (name) VALUES (account_name) ON CONFLICT DO NOTHING;
        is_new := FOUND;
        -- An account that is known has lost its log in a crash: its limit may be used up entirely. So may that of a
        -- provider that was asked before there were accounts.
        is_new := is_new AND NOT EXISTS (
            SELECT FROM ledger.provider p WHERE p.name = provider_name AND p.account IS NULL);
        INSERT INTO ledger.request (id, account, weight, answered_at)
        VALUES (gen_random_uuid(), account_name, CASE WHEN is_new THEN 0 ELSE 2147483647 END, clock_timestamp());
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.provider p WHERE p.name = provider_name AND p.account = account_name) THEN
        INSERT INTO ledger.provider AS known (name, account) VALUES (provider_name, account_name)
        ON CONFLICT (name) DO UPDATE SET account = excluded.account;
        UPDATE ledger.pause p SET account = account_name WHERE p.provider = provider_name AND p.account IS NULL;
    END IF;
    RETURN clock_timestamp();
END $$;

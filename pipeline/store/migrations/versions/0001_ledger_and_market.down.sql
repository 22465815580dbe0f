-- The role `analyst` belongs to the server and may serve other databases: it stays.
ALTER DEFAULT PRIVILEGES IN SCHEMA market REVOKE SELECT ON TABLES FROM analyst;
DROP SCHEMA market CASCADE;
DROP SCHEMA ledger CASCADE;

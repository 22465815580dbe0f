-- Limits shared by all processes, and how each provider has been answering. (undone)
DROP VIEW market.providers, market.provider_health;
DROP FUNCTION ledger.begin_request, ledger.end_request, ledger.pause_provider, ledger.lock_provider, ledger.latency_ms;
DROP TABLE ledger.fetch_log, ledger.pause, ledger.request, ledger.provider;

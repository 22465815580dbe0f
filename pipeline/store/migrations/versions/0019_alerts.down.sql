DROP VIEW market.alerts;
DROP TABLE ledger.alert, ledger.alert_watch;

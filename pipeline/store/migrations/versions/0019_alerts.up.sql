-- What people are told of by themselves. The table is its own outbox: what has been told is kept beside what is the case.

CREATE TABLE ledger.alert (
    id            bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind          text NOT NULL,
    about         text NOT NULL,
    provider      text,
    severity      text NOT NULL CHECK (severity IN ('warning', 'critical')),
    title         text NOT NULL,
    text          text NOT NULL,
    count         bigint NOT NULL CHECK (count > 0),
    runs          text[] NOT NULL DEFAULT '{}',
    since         timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL CHECK (last_seen_at >= first_seen_at),
    opened_at     timestamptz,
    openings      integer NOT NULL DEFAULT 1 CHECK (openings > 0),
    gone_at       timestamptz,
    resolved_at   timestamptz CHECK (resolved_at IS NULL OR opened_at IS NOT NULL),
    told          text CHECK (told IN ('warning', 'critical', 'resolved')),
    notified_at   timestamptz CHECK ((notified_at IS NULL) = (told IS NULL))
);
CREATE UNIQUE INDEX alert_standing ON ledger.alert (kind, about) WHERE resolved_at IS NULL;
CREATE INDEX alert_untold ON ledger.alert (id) WHERE told IS DISTINCT FROM 'resolved';
CREATE INDEX alert_past ON ledger.alert (kind, about, resolved_at);
COMMENT ON TABLE ledger.alert IS 'Troubles that people are told of: one row for each time that one stands.';
COMMENT ON COLUMN ledger.alert.id IS 'Number of the alert.';
COMMENT ON COLUMN ledger.alert.kind IS 'What kind of trouble; docs/alerts.md lists them.';
COMMENT ON COLUMN ledger.alert.about IS 'What it is about: a provider, a step of Dagster''s runs, and so on. With the kind, what makes it the same trouble when it is seen again.';
COMMENT ON COLUMN ledger.alert.provider IS 'The provider; null if it is not about one.';
COMMENT ON COLUMN ledger.alert.severity IS 'critical: data is not collected, is being lost or cannot be trusted. warning: somebody should look.';
COMMENT ON COLUMN ledger.alert.title IS 'What is wrong, in a line, as last seen.';
COMMENT ON COLUMN ledger.alert.text IS 'What is wrong, where, and what to do, as last seen.';
COMMENT ON COLUMN ledger.alert.count IS 'How often it happened (runs that failed), or of how many things it is true (listings, minutes, deliveries, values).';
COMMENT ON COLUMN ledger.alert.runs IS 'Ids of the newest runs that failed, in their order; empty for other kinds.';
COMMENT ON COLUMN ledger.alert.since IS 'Since when it is so, as far as the ledger knows, UTC.';
COMMENT ON COLUMN ledger.alert.first_seen_at IS 'When it was first seen, UTC.';
COMMENT ON COLUMN ledger.alert.last_seen_at IS 'When it was last seen, UTC.';
COMMENT ON COLUMN ledger.alert.opened_at IS 'When it had lasted long enough to be told, UTC; null before.';
COMMENT ON COLUMN ledger.alert.openings IS 'How often it has opened again, each time within a day of its end: the more often, the longer its end is waited for.';
COMMENT ON COLUMN ledger.alert.gone_at IS 'Since when it is not the case any more, UTC; null while it is.';
COMMENT ON COLUMN ledger.alert.resolved_at IS 'When it was over, UTC; null while it stands. A trouble that comes and goes stands until it stays away.';
COMMENT ON COLUMN ledger.alert.told IS 'What was last told of it: its severity then, or that it is resolved; null if nothing was.';
COMMENT ON COLUMN ledger.alert.notified_at IS 'When that was, UTC.';

CREATE TABLE ledger.alert_watch (
    single          boolean PRIMARY KEY DEFAULT true CHECK (single),
    looked_at       timestamptz,
    delivered_at    timestamptz,
    failing_since   timestamptz,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    error           text CHECK ((error IS NULL) = (attempts = 0))
);
INSERT INTO ledger.alert_watch DEFAULT VALUES;
COMMENT ON TABLE ledger.alert_watch IS 'How looking for trouble, and telling of it, goes: one row.';
COMMENT ON COLUMN ledger.alert_watch.single IS 'There is one row.';
COMMENT ON COLUMN ledger.alert_watch.looked_at IS 'When somebody last looked for trouble, UTC; null if nobody ever did.';
COMMENT ON COLUMN ledger.alert_watch.delivered_at IS 'When a message was last delivered, UTC.';
COMMENT ON COLUMN ledger.alert_watch.failing_since IS 'Since when no message could be delivered, UTC; null while they can.';
COMMENT ON COLUMN ledger.alert_watch.attempts IS 'How often delivering has failed in a row.';
COMMENT ON COLUMN ledger.alert_watch.next_attempt_at IS 'When it is tried again, UTC; null while nothing has failed.';
COMMENT ON COLUMN ledger.alert_watch.error IS 'What came back instead; never the address.';

CREATE VIEW market.alerts AS
SELECT a.id, a.kind || ':' || a.about AS key, a.kind, a.provider, a.severity, a.resolved_at IS NULL AS open, a.title, a.text, a.count,
       a.since, a.opened_at, a.last_seen_at, a.resolved_at, a.notified_at
FROM ledger.alert a WHERE a.opened_at IS NOT NULL;
COMMENT ON VIEW market.alerts IS 'Troubles that people are or were told of; resolved ones are kept for 90 days.';
COMMENT ON COLUMN market.alerts.id IS 'Number of the alert.';
COMMENT ON COLUMN market.alerts.key IS 'What makes it the same trouble when it comes again: the kind, and what it is about.';
COMMENT ON COLUMN market.alerts.kind IS 'What kind of trouble; docs/alerts.md lists them.';
COMMENT ON COLUMN market.alerts.provider IS 'The provider; null if it is not about one.';
COMMENT ON COLUMN market.alerts.severity IS 'critical: data is not collected, is being lost or cannot be trusted. warning: somebody should look.';
COMMENT ON COLUMN market.alerts.open IS 'Whether it stands.';
COMMENT ON COLUMN market.alerts.title IS 'What is wrong, in a line.';
COMMENT ON COLUMN market.alerts.text IS 'What is wrong, where, and what to do.';
COMMENT ON COLUMN market.alerts.count IS 'How often it happened (runs that failed), or of how many things it is true (listings, minutes, deliveries, values).';
COMMENT ON COLUMN market.alerts.since IS 'Since when it is, or was, so, UTC.';
COMMENT ON COLUMN market.alerts.opened_at IS 'When it had lasted long enough to be told, UTC.';
COMMENT ON COLUMN market.alerts.last_seen_at IS 'When it was last seen, UTC.';
COMMENT ON COLUMN market.alerts.resolved_at IS 'When it was over, UTC; null while it stands.';
COMMENT ON COLUMN market.alerts.notified_at IS 'When it was last told, UTC; null if it could not be yet.';

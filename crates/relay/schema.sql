-- The outbox of Postrider: an application inserts a job in the transaction that makes it necessary, and
-- `postrider relay` enqueues it once that transaction is committed. For PostgreSQL 13 and later.
--
-- The columns from `queue` to `baggage` are a job's fields; docs/job-fields.md explains them.

create table postrider_outbox (
    -- The order in which rows are enqueued.
    id bigint generated always as identity primary key,
    queue text not null default 'default',
    url text not null,
    method text,
    headers jsonb,
    -- The body is a text or bytes. JSON is a text, too: what is sent is what is here.
    body text,
    body_bytes bytea,
    label text,
    delay_ms bigint,
    not_before timestamptz,
    expires_at timestamptz,
    timeout_ms bigint,
    max_attempts integer,
    retry text,
    flow text,
    -- The field `order`, which is a word of SQL.
    order_key text,
    secret text,
    result_ttl_ms bigint,
    on_success text,
    on_failure text,
    traceparent text,
    tracestate text,
    baggage text,
    -- The idempotency key: a row that is enqueued again, because the relay, Redis or PostgreSQL stopped in between, makes no
    -- second job.
    key text not null default gen_random_uuid()::text check (octet_length(key) between 1 and 256),
    created_at timestamptz not null default clock_timestamp(),
    -- Set by `postrider relay --keep`, which deletes the row later. Otherwise the row is deleted once it is enqueued.
    enqueued_at timestamptz,
    job_id text,
    -- Why the row cannot be enqueued. Correct the row and set this to null, or delete the row.
    error text,
    constraint one_body check (body is null or body_bytes is null)
)
-- Rows come and go; their remains are to be removed early.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

create index postrider_outbox_waiting on postrider_outbox (id) where enqueued_at is null and error is null;
create index postrider_outbox_kept on postrider_outbox (enqueued_at) where enqueued_at is not null;

-- Wakes the relay as soon as a transaction is committed. Without this trigger, it finds new rows by looking once per
-- `--poll-interval`. PostgreSQL commits transactions that notify one after the other: leave it out above some thousand
-- transactions a second.
create function postrider_outbox_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('postrider_outbox', '');
    return null;
end
$$;

create trigger postrider_outbox_notify after insert on postrider_outbox
    for each statement execute function postrider_outbox_notify();

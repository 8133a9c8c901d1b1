//! The outbox: jobs that applications insert into PostgreSQL.

mod examples;
mod order;
mod troubles;

use e2e::postgres::PostgresServer;
use e2e::process::{Build, Output, Postrider};
use e2e::sink::SinkRequest;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(
    a_row_is_delivered_once_its_transaction_is_committed,
    every_column_is_a_field_of_the_job,
    rows_that_are_no_jobs_wait_for_somebody_and_keep_no_other_waiting,
);

/// A PostgreSQL with the table, and the rest.
pub(super) struct Outbox {
    pub(super) postgres: PostgresServer,
    pub(super) world: World,
    build: Build,
}

impl Outbox {
    /// `None` on a machine without PostgreSQL.
    pub(super) fn start(build: Build) -> Option<Outbox> {
        Outbox::on(World::new(build), build)
    }

    pub(super) fn on(world: World, build: Build) -> Option<Outbox> {
        let postgres = PostgresServer::start()?;
        let schema = Postrider::run(build, &["relay", "schema"], &[], DEADLINE);
        postgres.sql(&schema.stdout);
        Some(Outbox { postgres, world, build })
    }

    pub(super) fn relay(&self, arguments: &[&str]) -> Postrider {
        Postrider::relay(self.build, &self.postgres, &self.world.redis, arguments, &[])
    }

    pub(super) fn insert(&self, columns: &str, values: &str) {
        self.postgres.sql(&format!("insert into postrider_outbox ({columns}) values {values}"));
    }

    pub(super) fn status(&self) -> Output {
        let url = self.postgres.url();
        Postrider::run(self.build, &["relay", "status", "--json", "--postgres", &url], &[], DEADLINE)
    }

    pub(super) fn wait_until_empty(&self) {
        eventually_or("an empty outbox", DEADLINE, || {
            match self.postgres.try_sql("select count(*) from postrider_outbox where error is null") {
                Ok(count) if count == "0" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

pub(super) fn label(request: &SinkRequest) -> String {
    request.header("postrider-label").expect("each request has a label").to_owned()
}

fn a_row_is_delivered_once_its_transaction_is_committed(build: Build) {
    let Some(outbox) = Outbox::start(build) else { return };
    let (_worker, _relay) = (outbox.world.worker(&[]), outbox.relay(&[]));
    let url = outbox.world.sink.url("/ok");
    let insert =
        |label: &str| format!("insert into postrider_outbox (url, label) values ('{url}', '{label}');");
    outbox.postgres.sql(&format!("begin; {} rollback", insert("never")));
    outbox.postgres.sql(&format!("begin; {} {} commit", insert("one"), insert("two")));
    let requests = outbox.world.sink.wait_for(2, DEADLINE);
    outbox.wait_until_empty();
    outbox.world.queue().wait_until_drained(DEADLINE);
    let mut labels: Vec<String> = requests.iter().map(label).collect();
    labels.sort();
    assert_eq!(labels, ["one", "two"]);
    assert_eq!(outbox.world.sink.requests().len(), 2);
}

fn every_column_is_a_field_of_the_job(build: Build) {
    let Some(outbox) = Outbox::start(build) else { return };
    let url = outbox.world.sink.url("/all");
    outbox.insert(
        "queue, url, method, headers, body_bytes, label, not_before, expires_at, timeout_ms, max_attempts, retry, flow,
         order_key, result_ttl_ms, on_success, on_failure, traceparent, tracestate, baggage, key",
        &format!(
            "('mail', '{url}', 'PUT', '{{\"x-shop\": [\"1\", \"2\"]}}', '\\x00ff', 'all', to_timestamp(1795396101.0005),
             now() + interval '1 hour', 5000, 3, 'default', 'shop', 'order-1', 60000, '{0}',
             '{{\"url\": \"{0}\"}}', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'a=b', 'c=d', 'my-key')",
            outbox.world.sink.url("/called")
        ),
    );
    let _relay = outbox.relay(&["--keep", "1h"]);
    outbox.postgres.sql("select 1");
    let job_id = eventually_or("a marked row", DEADLINE, || {
        let marked = outbox.postgres.sql("select coalesce(job_id, error, '') from postrider_outbox");
        if marked.contains('-') { Ok(marked) } else { Err(marked) }
    });
    let shown = outbox.world.run(&["jobs", "show", "--json", "--reveal", &job_id, "--queue", "mail"]);
    let job = shown.json();
    let fields = &job["jobs"][0]["fields"];
    let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(field("url"), url, "{job}");
    assert_eq!((field("method"), field("label"), field("flow")), ("PUT".into(), "all".into(), "shop".into()));
    assert_eq!(
        (field("order"), field("timeout_ms"), field("max_attempts")),
        ("order-1".into(), "5000".into(), "3".into())
    );
    assert_eq!(
        (field("not_before"), field("tracestate"), field("baggage")),
        ("1795396101001".into(), "a=b".into(), "c=d".into())
    );
    // The same row again makes no second job.
    outbox.postgres.sql("update postrider_outbox set enqueued_at = null");
    eventually_or("a row that is marked again", DEADLINE, || {
        let marked = outbox.postgres.sql("select job_id from postrider_outbox where enqueued_at is not null");
        if marked == job_id { Ok(()) } else { Err(marked) }
    });
    let _worker = outbox.world.worker(&["--queue", "mail"]);
    let requests = outbox.world.sink.wait_for_path("/all", 1, DEADLINE);
    outbox.world.sink.wait_for_path("/called", 1, DEADLINE);
    assert_eq!(outbox.world.sink.requests_to("/all").len(), 1);
    assert_eq!(requests[0].body.as_ref(), [0, 255]);
    let trace = requests[0].header("traceparent").unwrap_or_default();
    assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{trace}");
}

fn rows_that_are_no_jobs_wait_for_somebody_and_keep_no_other_waiting(build: Build) {
    let Some(outbox) = Outbox::start(build) else { return };
    let (_worker, mut relay) = (outbox.world.worker(&[]), outbox.relay(&["--max-job-bytes", "64KiB"]));
    let url = outbox.world.sink.url("/ok");
    outbox.insert("url, queue", "('not a url', 'default'), ('http://h/', 'not a queue')");
    outbox.insert("url, body", "('http://h/', repeat('x', 70000)), ('http://h/hunter2', repeat('x', 65000))");
    outbox.insert("url, max_attempts", "('http://h/hunter2', 1000)");
    outbox.insert(
        "url, not_before, expires_at",
        "('http://h/', 'infinity', null), ('http://h/', null, '-infinity')",
    );
    outbox.insert("url", &format!("('{url}')"));
    outbox.world.sink.wait_for(1, DEADLINE);
    outbox.wait_until_empty();
    let status = outbox.status().json();
    assert_eq!((&status["waiting"], &status["refused"]), (&0.into(), &6.into()), "{status}");
    let errors: Vec<&str> = status["refused_rows"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["error"].as_str())
        .collect();
    for (error, part) in errors.iter().zip([
        "column `url`",
        "column `queue`",
        "may have 65536",
        "`max_attempts`",
        "`not_before`",
        "`expires_at`",
    ]) {
        assert!(error.contains(part), "{errors:?}");
    }
    let log = relay.log().join("\n");
    assert!(!log.contains("hunter2") && log.contains("waits for somebody"), "{log}");
    // One that is corrected goes.
    outbox
        .postgres
        .sql(&format!("update postrider_outbox set url = '{url}', error = null where url = 'not a url'"));
    outbox.world.sink.wait_for(2, DEADLINE);
    assert_eq!(relay.stop().code(), Some(0));
}

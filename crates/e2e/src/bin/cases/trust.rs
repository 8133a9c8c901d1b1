//! Producers are not trusted: secrets, fields of the worker, and addresses of the machine.

use std::process::Command;
use std::time::Duration;

use e2e::process::Postrider;
use e2e::queue::DeadLetter;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "secrets_for_any_url",
        does: "jobs that name a token for their own URL, a token over http, a name that is not known; a forged job id",
        expects: "nothing is sent with a token, no names are listed, and the forged id is not signed",
        run: secrets,
    },
    Case {
        name: "the_machines_own_address",
        does: "jobs to the worker's own port at a public address of the machine, one of which is added later",
        expects: "all are refused, unless the address is allowed",
        run: own_address,
    },
    Case {
        name: "fields_of_the_worker_from_a_producer",
        does: "a job with 9 fields of the worker, among them another job's id and a made-up mark",
        expects: "none is believed, and the other job's result stays",
        run: forged_fields,
    },
    Case {
        name: "a_path_that_is_a_secret",
        does: "jobs for four kinds of webhooks whose path is a secret",
        expects: "no log line and no listing has the path; `--reveal` shows it",
        run: secret_path,
    },
];

fn refused(world: &World, fields: &[(&str, &str)]) -> DeadLetter {
    let (queue, before) = (world.queue(), world.queue().dead().len());
    queue.enqueue(fields);
    wait::eventually("a dead letter", DEADLINE, || queue.dead().into_iter().nth(before))
}

fn secrets() -> String {
    let config = TextFile::new(
        "[secrets.elsewhere]\nbearer = { env = \"TOKEN\" }\nhosts = [\"api.example.test\"]\nallow_http = true\n\
         [secrets.encrypted]\nbearer = { env = \"TOKEN\" }\nhosts = [\"127.0.0.1\"]\n\
         [secrets.signing]\nkeys = [{ env = \"KEY\" }]\nallow_http = true\n",
    );
    let world = World::new(BUILD)
        .with("TOKEN", "hunter2")
        .with("KEY", "whsec_bmV3IGtleSBmb3IgdGhlIHRlc3RzLCBwbGFudGVk");
    let worker = world.worker(&["--config", config.path()]);
    let url = world.sink.url("/ok");
    for secret in ["elsewhere", "encrypted", "unknown"] {
        let dead = refused(&world, &[("url", &url), ("secret", secret)]);
        let error = dead.field("_error").unwrap_or_default();
        let lists =
            ["elsewhere", "encrypted", "signing"].iter().any(|name| *name != secret && error.contains(name));
        assert!(!error.is_empty() && !lists && !error.contains("hunter2"), "{secret}: {error}");
    }
    assert_eq!(world.sink.requests().len(), 0, "nothing was sent");
    let job_id = world.queue().enqueue(&[("url", url.as_str()), ("secret", "signing"), ("_job_id", "7-7")]);
    let request = world.sink.wait_for(1, DEADLINE).remove(0);
    assert_eq!(request.header("webhook-id"), Some(job_id.as_str()), "a signed id");
    assert!(!worker.log().join("\n").contains("hunter2"));
    "3 refused without a request, the id of the entry signed".to_owned()
}

/// A worker in its own network, whose only interface has this address. It reaches Redis by a socket of Unix.
fn worker_at(world: &World, address: &str) -> Postrider {
    let script = format!("ip link set lo up && ip addr add {address}/32 dev lo && exec \"$@\"");
    world.worker_through(&["unshare", "--net", "sh", "-c", &script, "sh"], &["--listen", "0.0.0.0:7777"])
}

fn own_address() -> String {
    const ADDRESSES: [&str; 2] = ["93.184.216.34", "93.184.216.35"];
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let socket = folder.path().join("redis.sock").to_string_lossy().into_owned();
    let redis = RedisServer::start_with(&["--unixsocket", &socket]);
    let world = World::on(BUILD, redis).with("POSTRIDER_REDIS_URL", format!("redis+unix://{socket}"));
    let url = |address: &str| format!("http://{address}:7777/livez");
    let worker = worker_at(&world, ADDRESSES[0]);
    let dead = refused(&world, &[("url", &url(ADDRESSES[0]))]);
    assert_eq!(dead.reason(), "refused", "{dead:?}");
    let pid = worker.pid().to_string();
    let added =
        ["--target", &pid, "--net", "ip", "addr", "add", &format!("{}/32", ADDRESSES[1]), "dev", "lo"];
    assert!(
        Command::new("nsenter").args(added).status().is_ok_and(|status| status.success()),
        "an address is added"
    );
    wait::unless_interrupted(Duration::from_secs(32));
    let dead = refused(&world, &[("url", &url(ADDRESSES[1]))]);
    assert_eq!(dead.reason(), "refused", "{dead:?}");
    drop(worker);
    let world = world.with("POSTRIDER_EGRESS_ALLOW", ADDRESSES[0]);
    let _worker = worker_at(&world, ADDRESSES[0]);
    let url = url(ADDRESSES[0]);
    let fields = [("url", url.as_str()), ("method", "GET"), ("result_ttl_ms", "60000")];
    let job_id = world.queue().enqueue(&fields);
    let result = wait::eventually("a result", DEADLINE, || world.queue().result(&job_id));
    assert!(result.contains("200"), "the address that is allowed answers: {result}");
    "2 refused, 1 allowed".to_owned()
}

fn forged_fields() -> String {
    let world = World::new(BUILD);
    let (queue, url) = (world.queue(), world.sink.url("/status/503"));
    let _worker = world.worker(&[]);
    let victim = queue.enqueue(&[("url", world.sink.url("/ok").as_str()), ("result_ttl_ms", "60000")]);
    let result = wait::eventually("a result", DEADLINE, || queue.result(&victim));
    let job = [("url", url.as_str()), ("max_attempts", "1"), ("result_ttl_ms", "60000")];
    let forged = [
        ("_job_id", victim.as_str()),
        ("_attempt", "50"),
        ("_history", r#"[{"at":1,"ms":1,"status":204}]"#),
        ("_admitted", "yes"),
        ("_waited", "1"),
        ("_enqueued_at", "1"),
        ("_traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("_reason", "expired"),
        ("_mark", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ];
    let dead = refused(&world, &[&job[..], &forged].concat());
    let history = dead.field("_history").unwrap_or_default();
    assert_ne!(dead.field("_job_id").as_ref(), Some(&victim), "{dead:?}");
    assert_eq!(
        (dead.reason().as_str(), dead.field("_attempt").as_deref()),
        ("attempts", Some("1")),
        "{dead:?}"
    );
    assert!(history.contains("503") && !history.contains("204"), "{history}");
    assert!(dead.field("_enqueued_at").is_none_or(|at| at != "1"), "{dead:?}");
    assert_eq!(queue.result(&victim), Some(result), "the other job's result");
    format!("none of {} was believed", forged.len())
}

fn secret_path() -> String {
    const HOOKS: [&str; 4] = [
        "https://hooks.slack.com/services/T0/B0/hunter2",
        "https://discord.com/api/webhooks/1/hunter2",
        "https://acme.webhook.office.com/webhookb2/hunter2",
        "https://hooks.zapier.com/hooks/catch/1/hunter2/",
    ];
    let world = World::new(BUILD).with("POSTRIDER_LOG", "trace");
    // Nobody asks a name server: port 9 is none of the allowed ones.
    let config = TextFile::new("[egress]\nports = [80]\n");
    let worker = world.worker(&["--config", config.path()]);
    let dead: Vec<DeadLetter> = HOOKS.iter().map(|url| refused(&world, &[("url", url)])).collect();
    let id = dead[0].field("_job_id").unwrap_or_default();
    world.queue().enqueue(&[("url", HOOKS[0]), ("delay_ms", "3600000")]);
    wait::eventually("a scheduled job", DEADLINE, || (world.queue().scheduled() == 1).then_some(()));
    let commands: [&[&str]; 5] = [
        &["dead", "list"],
        &["dead", "show", &id],
        &["dead", "list", "--json"],
        &["jobs", "list"],
        &["dead", "summary"],
    ];
    for command in commands {
        let output = world.run(command);
        assert!(output.code() == 0 && !output.stdout.contains("hunter2"), "{command:?}: {output:?}");
    }
    let shown = world.run(&["dead", "show", &id, "--reveal"]);
    assert!(shown.stdout.contains("hunter2"), "{shown:?}");
    let log = worker.log().join("\n");
    assert!(log.contains("job dead-lettered") && !log.contains("hunter2"), "{log}");
    format!("{} lists and {} log lines without it", commands.len(), worker.log().len())
}

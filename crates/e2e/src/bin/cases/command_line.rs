//! What the command line accepts and prints.

use e2e::hostile::{Behaviour, Hostile};
use e2e::process::{Build, Output, Postrider};
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "levels_of_the_log_with_stray_characters",
        does: "POSTRIDER_LOG as `info,`, with blanks, with a line break, and as nonsense",
        expects: "the worker logs, or ends with exit code 2",
        run: log_levels,
    },
    Case {
        name: "mistakes_on_the_command_line",
        does: "unknown parameters of a URL, a password in a file, a file that is missing",
        expects: "the expected exit code, and a message that names the mistake",
        run: mistakes,
    },
    Case {
        name: "announced_addresses_that_cannot_be_reached",
        does: "`redis-cluster://` to a node that announces another address",
        expects: "the announced address is named",
        run: announced,
    },
    Case {
        name: "receivers_that_are_none",
        does: "telemetry to a port of the wrong protocol, and to a server that answers 200 with HTML",
        expects: "one line names the mistake and the remedy, and spans are counted as lost",
        run: receivers,
    },
    Case {
        name: "characters_that_control_a_terminal",
        does: "U+202E, U+2028 and U+009B in flow, body, label and URL",
        expects: "they are escaped in tables, JSON, log and errors",
        run: control_characters,
    },
];

fn log_levels() -> String {
    let redis = RedisServer::start();
    let mut refused = 0;
    let levels = [
        "info,",
        " info",
        "info\n",
        "info, ",
        ",",
        "",
        "nonsense=",
        "postrider=loud",
        "info postrider=debug",
    ];
    for level in levels {
        let mut worker = Postrider::worker(BUILD, &redis, &[], &[("POSTRIDER_LOG", level)]);
        let ended = wait::eventually_or("a ready worker, or its end", DEADLINE, || {
            let is_ready = worker.log().iter().any(|line| line.contains("worker is ready"));
            let ended = worker.exited();
            if is_ready || ended.is_some() {
                Ok(ended)
            } else {
                Err(format!("{level:?}: {:?}", worker.log()))
            }
        });
        if let Some(status) = ended {
            worker.kill();
            let log = worker.log().join("\n");
            assert!(
                status.code() == Some(2) && log.contains("the log filter"),
                "{level:?}: {status:?}: {log}"
            );
            refused += 1;
        }
    }
    format!("{} work, {refused} are refused", levels.len() - refused)
}

fn mistakes() -> String {
    let redis = RedisServer::start();
    let url_file = TextFile::new(&format!("{}\n", redis.url()));
    let plain = redis.url();
    let rows: [(&[&str], i32, &str); 8] = [
        (&["queues", "--redis-url", "redis://127.0.0.1?db=3"], 2, "the parameter `db` is not known"),
        (&["queues", "--redis-url", "redis://127.0.0.1?tls=true"], 2, "write rediss:// for TLS"),
        (&["worker", "--redis-url", "redis://127.0.0.1?protokol=3"], 2, "did you mean `protocol`?"),
        (&["queues", "--redis-url-file", url_file.path()], 0, "QUEUE"),
        (&["queues", "--redis-url-file", "/nowhere/url"], 2, "cannot be read"),
        (&["queues", "--redis-url", &plain, "--redis-url-file", url_file.path()], 2, "cannot be used with"),
        (&["worker", "--help"], 0, "--redis-url-file"),
        (&["worker", "--help"], 0, "[env: POSTRIDER_HTTP_PROXY]"),
    ];
    for (arguments, code, part) in rows {
        let output = Postrider::run(BUILD, arguments, &[], DEADLINE);
        let printed = [output.stdout.as_str(), output.stderr.as_str()].concat();
        assert!(output.code() == code && printed.contains(part), "{arguments:?}: {part}: {output:?}");
    }
    format!("{} command lines", rows.len())
}

fn announced() -> String {
    let node = RedisServer::start_cluster_node();
    node.command(&["CONFIG", "SET", "cluster-announce-port", "9"]);
    let slots: Vec<String> = (0..16384).map(|slot: u32| slot.to_string()).collect();
    let assign = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
    node.command(&assign.collect::<Vec<_>>());
    let url = format!("redis-cluster://127.0.0.1:{}", node.port);
    let output = Postrider::run(BUILD, &["queues", "--redis-url", &url], &[], DEADLINE);
    assert!(output.code() == 4 && output.stderr.contains("announce 127.0.0.1:9"), "{output:?}");
    "the address was named".to_owned()
}

fn receivers() -> String {
    let html =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>".to_vec();
    let http1 = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    let http2 = vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0x40, 0];
    for (protocol, behaviour, remedy) in [
        ("grpc", Behaviour::AnswerAndClose(http1), "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        ("http/protobuf", Behaviour::AnswerAndClose(http2), "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ("http/protobuf", Behaviour::Answer(html), "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] {
        let (redis, server) = (RedisServer::start(), Hostile::start(behaviour, None));
        let (url, endpoint) = (redis.url(), format!("http://127.0.0.1:{}", server.port()));
        let environment = [
            ("POSTRIDER_REDIS_URL", url.as_str()),
            ("OTEL_ENABLED", "true"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let output =
            Postrider::run(Build::Otel, &["send", "POST", "http://127.0.0.1:9/"], &environment, DEADLINE);
        let lines = output.stderr.lines().filter(|line| line.contains("traces cannot be delivered"));
        let lines: Vec<&str> = lines.collect();
        assert!(output.code() == 0 && lines.len() == 1 && lines[0].contains(remedy), "{remedy}: {output:?}");
        assert!(output.stderr.contains("spans were not delivered"), "{output:?}");
    }
    "3 mistakes named".to_owned()
}

fn control_characters() -> String {
    const TEXT: &str = "a\u{202e}b\u{2028}c\u{9b}d";
    let world = World::new(BUILD);
    let queue = world.queue();
    let mut worker = world.worker(&["--max-attempts", "1"]);
    let url = format!("http://127.0.0.1:9/{TEXT}");
    let job_id = queue.enqueue(&[("url", url.as_str()), ("flow", TEXT), ("body", TEXT)]);
    queue.enqueue(&[("url", url.as_str()), ("label", TEXT)]);
    let later = queue.enqueue(&[("url", url.as_str()), ("flow", TEXT), ("delay_ms", "3600000")]);
    queue.enqueue(&[("url", &format!("http://{TEXT}/"))]);
    wait::eventually("dead letters", DEADLINE, || (queue.dead().len() == 3).then_some(()));
    wait::eventually("a scheduled job", DEADLINE, || (queue.scheduled() == 1).then_some(()));
    let commands: [&[&str]; 7] = [
        &["dead", "list"],
        &["dead", "list", "--json"],
        &["dead", "show", &job_id],
        &["dead", "summary"],
        &["jobs", "list"],
        &["jobs", "show", &later],
        &["jobs", "show", &later, "--json"],
    ];
    let mut shown: Vec<Output> = commands.iter().map(|command| world.run(command)).collect();
    assert_eq!(worker.stop().code(), Some(0));
    for (command, output) in commands.iter().zip(&mut shown) {
        let printed = [output.stdout.as_str(), output.stderr.as_str()].concat();
        assert!(!printed.contains(['\u{202e}', '\u{2028}', '\u{9b}']), "{command:?}: {printed:?}");
    }
    let log = worker.log().join("\n");
    assert!(log.contains("dead-lettered") && !log.contains(['\u{202e}', '\u{2028}', '\u{9b}']), "{log:?}");
    format!("{} commands and {} log lines", commands.len(), worker.log().len())
}

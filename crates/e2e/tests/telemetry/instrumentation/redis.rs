//! What is recorded of commands, against a real server.

use std::time::Duration;

use e2e::otlp::{SpanKind, Status};
use e2e::redis::RedisServer;
use fred::interfaces::{ClientLike, FunctionInterface, LuaInterface, TransactionInterface};
use fred::prelude::{Builder, Client, Config, Error, Value};
use fred_otel::{Call, Command, Hooks, Options, QueryText, TracedClient};
use serde_json::json;

use super::{Program, text};

async fn connect(server: &RedisServer, program: &Program, options: Options) -> TracedClient {
    let config = Config::from_url(&server.url()).expect("a Redis URL");
    let client = Builder::from_config(config).build().expect("a client");
    client.init().await.expect("the server answers");
    TracedClient::with_options(client, &program.telemetry(), options)
}

fn port(server: &RedisServer) -> u16 {
    server.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("the URL ends with the port")
}

fn set(key: &str) -> Call {
    Call::new("SET").key(key).arg("hunter2")
}

#[test]
fn a_command_is_a_span_and_a_measurement_by_the_conventions() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let _: () = redis.send(set("a")).await.expect("it is set");
    });
    let got = program.end();
    let span = got.span();
    assert_eq!((span.name.as_str(), span.kind, &span.status), ("SET", SpanKind::Client, &Status::Unset));
    assert_eq!(span.attributes["db.system.name"], json!("redis"));
    assert_eq!(span.attributes["db.operation.name"], json!("SET"));
    assert_eq!(span.attributes["db.namespace"], json!("0"));
    assert_eq!(span.attributes["server.address"], json!("127.0.0.1"));
    assert_eq!(span.attributes["server.port"], json!(port(&server)));
    assert_eq!(span.attributes["network.peer.address"], json!("127.0.0.1"));
    assert_eq!(span.attributes["network.peer.port"], json!(port(&server)));
    for absent in ["db.query.text", "db.operation.batch.size", "error.type", "db.stored_procedure.name"] {
        assert_eq!(span.attributes.get(absent), None, "{span:#?}");
    }
    let points = got.points("db.client.operation.duration");
    assert_eq!((points.len(), points[0].count), (1, 1));
    assert_eq!(text(points[0], "db.operation.name"), Some("SET"));
    assert_eq!(text(points[0], "db.namespace"), Some("0"));
}

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('pay', function(keys) return 1 end)";

async fn take_every_path(redis: &TracedClient) {
    let load = |client: Client| async move {
        let _: String = client.function_load(true, LIBRARY).await?;
        client.script_load("return 1").await
    };
    // Two commands under one span: the caller names what runs in the closure.
    let sha1: String = redis.run(Command::new("FUNCTION"), load).await.expect("they are loaded");
    let _: Value = redis.pipeline(vec![set("a"), set("b")]).await.expect("a pipeline");
    let mixed = vec![set("a"), Call::new("GET").key("a")];
    let (_, value): ((), String) = redis.pipeline(mixed).await.expect("a pipeline");
    assert_eq!(value, "hunter2");
    let _: Value = redis.pipeline(vec![set("a")]).await.expect("a pipeline");
    let _: Value = redis.pipeline(vec![]).await.unwrap_or(Value::Null);
    let both: Option<((), ())> = redis.transaction(vec![set("a"), set("b")]).await.expect("it runs");
    assert!(both.is_some());
    let paid: i64 = redis.send(Call::function("pay", ["a"])).await.expect("a function");
    let one: i64 = redis.send(Call::script(&sha1, ["a"])).await.expect("a script");
    assert_eq!((paid, one), (1, 1));
    let heard: i64 = redis.send(Call::new("PUBLISH").arg("news").arg("x")).await.expect("published");
    assert_eq!(heard, 0);
    let custom = |client: Client| async move {
        let command = fred::types::CustomCommand::new_static("OBJECT", None, false);
        client.custom::<Value, _>(command, vec!["ENCODING", "a"]).await
    };
    let _ = redis.run(Command::new("OBJECT"), custom).await.expect("a custom command");
    let multi = |client: Client| async move {
        let transaction = client.multi();
        let _: () = transaction.ping(None).await?;
        transaction.exec::<Value>(false).await
    };
    let _ = redis.run(Command::transaction(&["PING", "PING"]), multi).await.expect("fred's own");
}

#[test]
fn every_path_of_the_client_makes_one_span() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async { take_every_path(&connect(&server, &program, Options::default()).await).await });
    let got = program.end();
    let expected = [
        "FUNCTION",
        "PIPELINE SET",
        "PIPELINE",
        "SET",
        "PIPELINE",
        "MULTI SET",
        "FCALL pay",
        "EVALSHA",
        "PUBLISH",
        "OBJECT",
        "MULTI PING",
    ];
    assert_eq!(got.names(), expected);
    assert!(got.spans.iter().all(|span| span.kind == SpanKind::Client && span.status == Status::Unset));
    let sizes: Vec<_> =
        got.spans.iter().filter_map(|span| span.attributes.get("db.operation.batch.size")).collect();
    assert_eq!(sizes, [&json!(2), &json!(2), &json!(0), &json!(2), &json!(2)]);
    let functions = got.spans.iter().filter_map(|span| span.text("db.stored_procedure.name"));
    assert_eq!(functions.map(|name| name.len()).collect::<Vec<_>>(), ["pay".len(), 40]);
    assert_eq!(got.spans[6].attributes["db.operation.name"], json!("FCALL"));
}

#[test]
fn a_script_has_the_name_that_its_caller_gives_it() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let sha1: String = redis.send(Call::new("SCRIPT").arg("LOAD").arg("return 1")).await.expect("loaded");
        let _: i64 = redis.send(Call::script(&sha1, ["a"]).script_name("pay")).await.expect("a script");
        let _: i64 = redis.send(Call::script(&sha1, ["a"])).await.expect("a script");
        let call = |client: Client| async move { client.evalsha(sha1, "a", Value::Null).await };
        let _: i64 = redis.run(Command::new("EVALSHA").script_name("pay"), call).await.expect("a script");
    });
    let got = program.end();
    assert_eq!(got.names(), ["SCRIPT", "EVALSHA pay", "EVALSHA", "EVALSHA pay"]);
    let scripts = got.spans.iter().filter_map(|span| span.text("db.stored_procedure.name"));
    assert_eq!(scripts.map(|name| name.len()).collect::<Vec<_>>(), ["pay".len(), 40, "pay".len()]);
    assert!(got.spans[1..].iter().all(|span| span.attributes["db.operation.name"] == json!("EVALSHA")));
}

#[test]
fn without_spans_commands_are_measured() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default().spans(false)).await;
        let _: () = redis.send(set("a")).await.expect("it is set");
        redis.send::<Value>(Call::new("INCR").key("a")).await.expect_err("it is no number");
        let _: Value = redis.pipeline(vec![set("a"), set("b")]).await.expect("a pipeline");
        // Deferred commands: the caller decides afterwards whether to record them, without and with spans.
        let with = connect(&server, &program, Options::default()).await;
        let read = |_| std::future::ready(Ok::<_, Error>(()));
        redis.defer(Command::new("GET"), read).await.1.record(&telemetry::Context::none(), None);
        with.defer(Command::new("MGET"), read).await.1.measure(None);
    });
    let got = program.end();
    assert_eq!(got.names(), Vec::<&str>::new());
    let points = got.points("db.client.operation.duration");
    let mut measured: Vec<_> =
        points.iter().map(|point| (text(point, "db.operation.name"), text(point, "error.type"))).collect();
    measured.sort_unstable();
    let all = [("GET", None), ("INCR", Some("ERR")), ("MGET", None), ("PIPELINE SET", None), ("SET", None)];
    assert_eq!(measured, all.map(|(name, error)| (Some(name), error)));
}

#[test]
fn an_error_is_named_by_its_prefix_and_measured() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let push = vec![Call::new("LPUSH").key("list").arg("x"), Call::new("INCR").key("list")];
        redis.pipeline::<Value>(push).await.expect_err("a list is no number");
    });
    let got = program.end();
    let span = got.span();
    assert_eq!(span.attributes["db.response.status_code"], json!("WRONGTYPE"));
    assert_eq!(span.attributes["error.type"], json!("WRONGTYPE"));
    let error = "WRONGTYPE Operation against a key holding the wrong kind of value".to_owned();
    assert_eq!(span.status, Status::Error(error));
    let point = got.points("db.client.operation.duration")[0];
    assert_eq!(text(point, "error.type"), Some("WRONGTYPE"));
    assert_eq!(text(point, "db.response.status_code"), Some("WRONGTYPE"));
}

#[test]
fn neither_a_watched_key_that_has_changed_nor_a_cancellation_is_an_error() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let _: Value = redis.send(Call::new("WATCH").key("a")).await.expect("it is watched");
        server.command(&["SET", "a", "changed"]);
        let kept: Option<Value> = redis.transaction(vec![set("a"), set("b")]).await.expect("no error");
        assert_eq!(kept, None);
        let waits = redis.send::<Value>(Call::new("BLPOP").key("none").arg(0_i64).blocking());
        assert!(tokio::time::timeout(Duration::from_millis(50), waits).await.is_err());
    });
    let got = program.end();
    assert_eq!(got.names(), ["WATCH", "MULTI SET", "BLPOP"]);
    for span in &got.spans {
        assert_eq!((&span.status, span.attributes.get("error.type")), (&Status::Unset, None), "{span:#?}");
    }
}

#[test]
fn a_wait_is_a_span_and_no_measurement() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let waits = Call::new("BLPOP").key("none").arg(0.05).blocking();
        let nothing: Option<(String, String)> = redis.send(waits).await.expect("it ends with nothing");
        assert_eq!(nothing, None);
    });
    let got = program.end();
    assert_eq!((got.span().name.as_str(), &got.span().status), ("BLPOP", &Status::Unset));
    assert!(got.points("db.client.operation.duration").is_empty());
}

#[test]
fn the_query_text_is_shown_on_request_and_holds_no_value() {
    for (query_text, texts) in [
        (QueryText::Sanitized, ["SET ? ?", "SET ? ?; GET ?"]),
        (QueryText::Keys, ["SET a ?", "SET a ?; GET a"]),
    ] {
        let (program, server) = (Program::start(), RedisServer::start());
        program.run(async {
            let redis = connect(&server, &program, Options::default().query_text(query_text)).await;
            let _: () = redis.send(set("a")).await.expect("it is set");
            let _: Value = redis.pipeline(vec![set("a"), Call::new("GET").key("a")]).await.expect("both");
        });
        let got = program.end();
        let shown: Vec<_> = got.spans.iter().filter_map(|span| span.text("db.query.text")).collect();
        assert_eq!(shown, texts);
        assert!(!format!("{:?}", got.spans).contains("hunter2"));
    }
}

#[test]
fn hooks_see_the_command_and_its_error_and_may_panic() {
    let (program, server) = (Program::start(), RedisServer::start());
    let hooks = Hooks::default()
        .on_start(|span, command| span.set("app.command", command.operation()))
        .on_end(|span, _, error| span.set("app.failed", error.is_some()));
    let panics =
        Hooks::default().on_start(|_, _| panic!("on purpose")).on_end(|_, _, _| panic!("on purpose"));
    program.run(async {
        let redis = connect(&server, &program, Options::default().hooks(hooks)).await;
        redis.send::<Value>(Call::new("NOSUCH")).await.expect_err("there is none");
        let redis = connect(&server, &program, Options::default().hooks(panics)).await;
        let _: () = redis.send(set("a")).await.expect("it is set");
    });
    let got = program.end();
    assert_eq!(got.names(), ["NOSUCH", "SET"]);
    assert_eq!(got.spans[0].attributes["app.command"], json!("NOSUCH"));
    assert_eq!(got.spans[0].attributes["app.failed"], json!(true));
    assert_eq!(got.spans[1].status, Status::Unset);
}

#[test]
fn nothing_is_recorded_where_it_is_suppressed() {
    let (program, server) = (Program::start(), RedisServer::start());
    program.run(async {
        let redis = connect(&server, &program, Options::default()).await;
        let call = redis.send::<()>(set("a"));
        telemetry::suppressed(call).await.expect("it is set");
        let read = redis.defer(Command::new("GET"), |_| std::future::ready(Ok::<_, Error>(())));
        let (_, pending) = read.await;
        let _suppressed = telemetry::suppress();
        pending.record(&telemetry::Context::none(), None);
    });
    let got = program.end();
    assert_eq!((got.names(), got.points("db.client.operation.duration").len()), (vec![], 0));
}

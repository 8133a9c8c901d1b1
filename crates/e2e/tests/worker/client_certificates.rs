//! Destinations that ask for a client certificate: they accept only a job with the right secret.

use e2e::hostile::{Behaviour, Certificate, Hostile, Identity};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;

e2e::in_both_builds!(
    a_job_with_the_secret_is_delivered_and_one_without_is_not,
    a_certificate_and_a_key_that_do_not_match_are_an_error_at_the_start,
);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const SETTLED: &str = "[retry.default]\nmax_attempts = 1\n";

/// Settings with these client certificates, each as the name of its secret, its certificate and its key, and the files
/// that they name.
fn settings(authority: Option<&Certificate>, secrets: &[(&str, &str, &str)]) -> (String, Vec<TextFile>) {
    let mut files = Vec::new();
    let mut write = |text: &str| {
        let file = TextFile::new(text);
        let path = format!("{:?}", file.path());
        files.push(file);
        path
    };
    let mut text = SETTLED.to_owned();
    if let Some(authority) = authority {
        text.push_str(&format!("[http]\nca_files = [{}]\n", write(&authority.pem)));
    }
    for (name, cert, key) in secrets {
        let [cert, key] = [cert, key].map(|pem| write(pem));
        text.push_str(&format!("[secrets.{name}]\ncert = {{ file = {cert} }}\nkey = {{ file = {key} }}\nhosts = [\"127.0.0.1\"]\n"));
    }
    (text, files)
}

fn a_job_with_the_secret_is_delivered_and_one_without_is_not(build: Build) {
    let (bank, other) = (Identity::new("bank.test"), Identity::new("other.test"));
    let server = Certificate::demanding(&bank);
    let destination = Hostile::start(Behaviour::Answer(OK.to_vec()), Some(&server));
    let secrets = [("bank", &bank), ("other", &other)].map(|(name, own)| (name, &*own.cert, &*own.key));
    let (text, _files) = settings(Some(&server), &secrets);
    let config = TextFile::new(&text);
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let worker = Postrider::ready_worker(build, &redis, &["--config", config.path()], &[]);
    let url = format!("https://127.0.0.1:{}/pay", destination.port());
    // The two without it are between two with it: they must not use the connection of those.
    for secret in [Some("bank"), None, Some("other"), Some("bank")] {
        let mut fields = vec![("url", url.as_str())];
        fields.extend(secret.map(|name| ("secret", name)));
        queue.enqueue(&fields);
        queue.wait_until_drained(DEADLINE);
    }
    let dead = queue.dead();
    assert_eq!(
        dead.iter().map(|letter| letter.field("secret")).collect::<Vec<_>>(),
        [None, Some("other".into())]
    );
    for letter in dead {
        let history = letter.field("_history").expect("it had an attempt");
        assert!(history.contains(r#""error":"tls""#), "{history} {:?}", letter.field("_error"));
    }
    assert_eq!(destination.heads().len(), 2, "{:?}", destination.heads());
    let seen = destination.client_certificates();
    assert!(!seen.is_empty() && seen.iter().all(|certificate| *certificate == bank.der), "{}", seen.len());
    let log = worker.log().join("\n");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

fn a_certificate_and_a_key_that_do_not_match_are_an_error_at_the_start(build: Build) {
    let (bank, other) = (Identity::new("bank.test"), Identity::new("other.test"));
    let (text, _files) = settings(None, &[("fine", &bank.cert, &bank.key), ("bank", &bank.cert, &other.key)]);
    let (config, redis) = (TextFile::new(&text), RedisServer::start());
    let arguments = ["worker", "--config", config.path(), "--redis-url", &redis.url()];
    let output = Postrider::run(build, &arguments, &[], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    // Lines count from 1, and the certificate is below the name.
    let line = text.lines().position(|line| line == "[secrets.bank]").expect("it was written") + 2;
    let expected =
        format!("line {line}: the client certificate cannot be used: its key is that of another certificate");
    assert!(output.stderr.contains(&expected) && output.stderr.contains(config.path()), "{}", output.stderr);
    assert_eq!(output.stderr.matches("line ").count(), 1, "{}", output.stderr);
}

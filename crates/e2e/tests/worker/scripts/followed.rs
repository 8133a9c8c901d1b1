//! Records of jobs that end while somebody follows them: in another stream than the log, with other bounds.

use e2e::scripts::LOG_BOUNDS;

use super::{Call, JOB, Script, Stage, key};

#[test]
fn what_is_followed_shortens_no_log_that_another_worker_keeps() {
    let stage = Stage::new();
    let complete = |stream: &str, bounds: [&str; 3]| {
        let held = stage.deliver("a", JOB);
        let mut call = Call::settle(Script::Complete, &held, &[]).logged(bounds, "the-record\n");
        let log = call.keys.iter().position(|own| *own == key("log")).expect("the key of the log");
        call.keys[log] = key(stream);
        assert_eq!(stage.call(&call).text(), "o");
    };
    (0..5).for_each(|_| complete("log", LOG_BOUNDS));
    (0..5).for_each(|_| complete("tail", ["60000", "2", "1000000"]));
    complete("log", LOG_BOUNDS);
    let length = |stream: &str| stage.command(&["XLEN", &key(stream)]).integer();
    assert_eq!((length("log"), length("tail")), (6, 2));
    let sum = |name: &str| stage.command(&["HGET", &key("sizes"), name]).text();
    assert_eq!((sum("log"), sum("tail")), ("6".to_owned(), "5".to_owned()));
    let ttl = |stream: &str| stage.command(&["PTTL", &key(stream)]).integer();
    assert!(ttl("tail") <= 60_000 && ttl("log") > 86_000_000);
}

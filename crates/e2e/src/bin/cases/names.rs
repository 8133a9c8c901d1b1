//! Names of destinations, whose servers may be dead.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use e2e::text_file::TextFile;
use e2e::wait;
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[Case {
    name: "name_servers_that_never_answer",
    does: "two name servers never answer; 2,000 jobs for names that only they know, among 100 for names in /etc/hosts",
    expects: "the 100 jobs are delivered with one attempt each",
    run: dead_name_servers,
}];

/// The addresses of the name servers, which this program must be able to bind.
const SERVERS: [&str; 2] = ["127.77.0.1", "127.77.0.2"];
const HEALTHY: usize = 100;

fn dead_name_servers() -> String {
    let _servers = SERVERS.map(|address| UdpSocket::bind((address, 53)).expect("root may bind port 53"));
    let resolv = TextFile::new(&SERVERS.map(|address| format!("nameserver {address}\n")).concat());
    let names: Vec<String> = (0..HEALTHY).map(|number| format!("healthy-{number}.test")).collect();
    let hosts = TextFile::new(&names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect::<String>());
    let script = format!(
        "mount --bind {} /etc/hosts && mount --bind {} /etc/resolv.conf && exec \"$@\"",
        hosts.path(),
        resolv.path()
    );
    let world = World::new(BUILD);
    let (queue, port) = (world.queue(), world.sink.address().port());
    let through = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let _worker = world.worker_through(&through, &["--concurrency", "512", "--timeout", "5s"]);
    let began = Instant::now();
    for (number, name) in names.iter().enumerate() {
        for dead in 0..20 {
            queue.enqueue(&[("url", format!("http://dead-{number}-{dead}.test/"))]);
        }
        let url = format!("http://{name}:{port}/ok?{number}");
        queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1")]);
    }
    let delivered = wait::eventually_or("all healthy jobs are delivered", Duration::from_secs(180), || {
        let requests = world.sink.requests();
        let state = format!("{} of {HEALTHY}, {} dead", requests.len(), queue.dead().len());
        if requests.len() >= HEALTHY { Ok(requests) } else { Err(state) }
    });
    let dead = queue
        .dead()
        .iter()
        .filter(|letter| letter.field("url").is_some_and(|url| url.contains("healthy")))
        .count();
    assert_eq!((delivered.len(), dead), (HEALTHY, 0), "requests, and dead letters of healthy names");
    format!("{HEALTHY} of {HEALTHY} after {:.1?}", began.elapsed())
}

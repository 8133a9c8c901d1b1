//! The pictures of docs/console.md: written only if `POSTRIDER_PICTURES` names a folder.

use e2e::process::Postrider;
use e2e::queue::Queue;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};

use super::browser::{Browser, View, pictures};
use super::pages::Stage;

const HOST: &str = "http://hooks.shop.example";

/// Enqueues a job for a host. The sink is the proxy, and answers.
fn enqueue(queue: &Queue<'_>, path: &str, label: &str, more: &[(&str, &str)]) {
    let url = if path.starts_with("http") { path.to_owned() } else { format!("{HOST}{path}") };
    let own = [("url", url.as_str()), ("label", label), ("body", r#"{"event":"order.paid"}"#)];
    queue.enqueue(&[&own[..], &[("result_ttl_ms", "600000")], more].concat());
}

fn worker(stage: &Stage) -> Postrider {
    let (proxy, log) = (stage.world.sink.url(""), TextFile::new("[results]\nkeep = \"1d\"\n"));
    let queues = ["--queue", "orders:4", "--queue", "mail"];
    stage.world.worker(
        &[&queues[..], &["--http-proxy", &proxy, "--retry-base", "300ms", "--config", log.path()]].concat(),
    )
}

/// Some of everything.
fn fill(stage: &Stage) {
    let (orders, mail) = (Queue::new(&stage.world.redis, "orders"), Queue::new(&stage.world.redis, "mail"));
    for number in 0..60 {
        enqueue(&orders, "/slow/20", &format!("order:{}", 4_500 + number), &[]);
    }
    for number in 0..24 {
        enqueue(&orders, "/status/404", &format!("order:{}", 4_600 + number), &[]);
    }
    for number in 0..9 {
        enqueue(&orders, "/status/401", &format!("refund:{}", 310 + number), &[]);
        enqueue(&mail, "http://10.0.0.8/hook", &format!("mail:{number}"), &[]);
    }
    for queue in [&orders, &mail] {
        queue.wait_until_drained(DEADLINE);
    }
    // Alone, so that it does not wait in the queue.
    enqueue(&orders, "/flaky/2/first/180", "order:4711", &[]);
    orders.wait_until_drained(DEADLINE);
    enqueue(&mail, "/ok", "reminder:1", &[("delay_ms", "86400000")]);
    let invoices = stage.world.run(&["queues", "pause", "invoices", "--why", "the accountant asked"]);
    assert_eq!(invoices.code(), 0, "{invoices:?}");
    enqueue(&Queue::new(&stage.world.redis, "invoices"), "/ok", "invoice:17", &[]);
}

#[test]
fn pictures_of_the_guide() {
    let Some(folder) = pictures() else { return };
    std::fs::create_dir_all(&folder).expect("the folder for pictures");
    let stage = Stage::new();
    let view = View { width: 1_120, is_dark: false, has_scripts: true };
    let Some(browser) = Browser::start(view) else { return };
    let _worker = worker(&stage);
    fill(&stage);
    stage.sign_in(&browser, "/");
    browser.wait_for("the accountant asked");
    browser.cut_out(&folder.join("overview.png"), 1_120, 640);
    browser.open(&stage.url("/jobs/order:4711"));
    browser.wait_for("until the retry");
    browser.cut_out(&folder.join("job.png"), 1_120, 600);
    eventually("the groups", DEADLINE, || {
        browser.open(&stage.url("/dead"));
        browser.text().contains("By cause").then_some(())
    });
    browser.cut_out(&folder.join("dead.png"), 1_120, 480);
    browser.open(&stage.url("/live"));
    browser.wait_for("Connected.");
    let orders = Queue::new(&stage.world.redis, "orders");
    let mut number = 4_800;
    eventually("deliveries on the page", DEADLINE, || {
        let path = if number % 4 == 0 { "/status/404" } else { "/slow/30" };
        enqueue(&orders, path, &format!("order:{number}"), &[]);
        number += 1;
        (browser.text().matches("order:48").count() >= 8).then_some(())
    });
    browser.cut_out(&folder.join("live.png"), 1_120, 430);
}

//! The pages, in a real browser.

use std::io::Write;

use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use e2e::world::World;

use super::access::token;
use super::browser::{Browser, View, pictures};
use super::{BUILD, Console, NOWHERE};

const WIDE: View = View { width: 1280, is_dark: false, has_scripts: true };

/// A console with some of everything, and the token of an operator.
pub(super) struct Stage {
    pub(super) world: World,
    console: Console,
    token: String,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let world = World::new(BUILD);
        let (token, entry) = token("ann", "read,operate,reveal");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "{entry}").expect("the file is written");
        let console = Console::with(&world, &["--tokens", file.path().to_str().expect("a path")]);
        Stage { world, console, token }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.console.address)
    }

    /// Opens a page, by way of the login.
    pub(super) fn sign_in(&self, browser: &Browser, path: &str) {
        browser.open(&self.url(path));
        browser.fill("#token", &self.token);
        browser.press("Sign in");
        browser.wait_for("Sign out");
    }

    /// Jobs that get 404 once, and 200 when they are replayed.
    fn fail(&self, labels: &[&str]) {
        let queue = self.world.queue();
        for label in labels {
            let url = self.world.sink.url(&format!("/reply-once/{label}"));
            let headers = r#"{"authorization":"hunter2"}"#;
            queue.enqueue(&[
                ("url", &*url),
                ("label", label),
                ("body", "404\n\nno such order"),
                ("headers", headers),
            ]);
        }
        queue.wait_until_drained(DEADLINE);
    }
}

/// From "no webhook came" to the cause, and a replay that succeeds.
fn a_failed_job_is_found_and_replayed(view: View) {
    let stage = Stage::new();
    let Some(browser) = Browser::start(view) else { return };
    let _worker = stage.world.worker(&[]);
    stage.fail(&["order-1", "order-2", "order-3"]);
    stage.sign_in(&browser, "/");
    browser.wait_for("Overview");
    browser.fill("input[name=q]", "order-2");
    browser.press("Search");
    browser.wait_for("the destination answered 404");
    browser.wait_for("waiting for the answer");
    assert!(!browser.text().contains("hunter2"));
    browser.press("Dead letters");
    browser.wait_for("3 dead letters in 1 group.");
    browser.press("the destination answered 404, which a retry would not change");
    browser.wait_for("Change all that match");
    browser.press("Replay all that match");
    browser.wait_for("finished");
    browser.wait_for("3 replayed");
    stage.world.sink.wait_for(6, DEADLINE);
    browser.press("Dead letters");
    browser.wait_for("There are no dead letters.");
    browser.press("Audit");
    browser.wait_for("replay");
    assert!(browser.text().contains("ann"), "{}", browser.text());
    browser.press("Sign out");
    browser.wait_for("Sign in");
    browser.open(&stage.url("/dead"));
    assert_eq!(browser.path(), "/login");
}

#[test]
fn a_failed_job_is_found_and_replayed_with_scripts() {
    a_failed_job_is_found_and_replayed(WIDE);
}

#[test]
fn a_failed_job_is_found_and_replayed_without_scripts() {
    a_failed_job_is_found_and_replayed(View { has_scripts: false, ..WIDE });
}

#[test]
fn the_overview_follows_what_happens() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    stage.sign_in(&browser, "/");
    browser.wait_for("There is no queue yet.");
    stage.world.queue().enqueue(&[("url", NOWHERE)]);
    browser.wait_for("No worker serves default, and 1 job waits.");
}

#[test]
fn a_job_is_cancelled_on_its_page() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    stage.world.queue().schedule("7-0", &[("url", NOWHERE), ("label", "later")]);
    stage.sign_in(&browser, "/jobs/later");
    browser.press("Cancel");
    browser.wait_for("The job is cancelled.");
    browser.wait_for("Somebody cancelled it.");
    browser.press("Purge");
    browser.wait_for("1 deleted");
}

#[test]
fn deliveries_appear_as_they_end() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    let _worker = stage.world.worker(&[]);
    stage.sign_in(&browser, "/live");
    browser.wait_for("Connected.");
    // Workers notice within a second that somebody listens.
    e2e::wait::eventually("a delivery on the page", DEADLINE, || {
        stage.world.queue().enqueue(&[("url", &*stage.world.sink.url("/ok")), ("label", "seen-live")]);
        browser.text().contains("seen-live").then_some(())
    });
}

/// Pages in light and dark, wide and narrow: each is accessible, and fits its window.
#[test]
fn pages_are_accessible_and_fit() {
    let Some(axe) = std::env::var_os("POSTRIDER_AXE") else {
        eprintln!("skipped: POSTRIDER_AXE names no axe.min.js");
        return;
    };
    let axe = std::fs::read_to_string(axe).expect("axe-core can be read");
    let stage = Stage::new();
    let worker = stage.world.worker(&[]);
    stage.fail(&["order-1", "order-2"]);
    stage.world.queue().schedule("7-0", &[("url", NOWHERE), ("label", "later")]);
    stage.world.queue().postpone("9658403816409e66", "8-0", &[("url", NOWHERE), ("flow", "orders")]);
    drop(worker);
    apply_cron(&stage);
    let pages = [
        "/",
        "/queues/default",
        "/jobs",
        "/jobs/order-1",
        "/jobs/later",
        "/dead",
        "/dead?host=nowhere.test",
        "/destinations",
        "/destination?name=orders",
        "/cron",
        "/live",
        "/audit",
        "/jobs/nothing",
    ];
    for (is_dark, width) in [(false, 1280), (true, 1280), (false, 380), (true, 380)] {
        let Some(browser) = Browser::start(View { width, is_dark, ..WIDE }) else { return };
        browser.open(&stage.url("/login"));
        check(&browser, &axe, "/login", is_dark, width);
        stage.sign_in(&browser, "/");
        for page in pages {
            browser.open(&stage.url(page));
            assert_ne!(browser.path(), "/login", "{page}");
            check(&browser, &axe, page, is_dark, width);
        }
    }
}

/// A definition that has no tick while the test runs.
fn apply_cron(stage: &Stage) {
    let file = TextFile::new(
        "[cron.report]\nexpression = \"0 3 1 1 *\"\njob = { url = \"http://127.0.0.1:9/report\" }\n",
    );
    assert_eq!(stage.world.run(&["cron", "apply", file.path()]).code(), 0);
}

#[test]
fn a_periodic_job_is_run_and_paused_on_its_page() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    apply_cron(&stage);
    stage.sign_in(&browser, "/cron");
    browser.wait_for("0 3 1 1 *");
    browser.press("Pause");
    browser.wait_for("Resume");
    assert!(browser.text().contains("paused"), "{}", browser.text());
    browser.press("Resume");
    browser.wait_for("Pause");
    browser.press("Run now");
    browser.wait_for("Job report");
}

fn check(browser: &Browser, axe: &str, page: &str, is_dark: bool, width: u32) {
    let what = format!("{page} at {width} pixels, dark: {is_dark}");
    if let Some(folder) = pictures() {
        std::fs::create_dir_all(&folder).expect("the folder for pictures");
        let name = page.replace(['/', '?', '='], "-");
        browser.picture(
            &folder.join(format!("page{name}-{width}-{}.png", if is_dark { "dark" } else { "light" })),
        );
    }
    assert_eq!(browser.violations(axe), Vec::<String>::new(), "{what}");
    let overflow =
        browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, 0, "{what} scrolls sideways");
    let dark = browser.script("return matchMedia('(prefers-color-scheme: dark)').matches");
    assert_eq!(dark, is_dark, "{what}");
}

#[test]
fn a_queue_is_paused_and_resumed_on_its_page() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    stage.world.queue().enqueue(&[("url", NOWHERE)]);
    stage.sign_in(&browser, "/queues/default");
    browser.press("Pause");
    browser.fill("input[name=until]", "2h");
    browser.fill("input[name=why]", "the destination moves");
    browser.press("Pause now");
    browser.wait_for("by ann: the destination moves");
    browser.press("Overview");
    browser.wait_for("default: Paused until");
    browser.open(&stage.url("/queues/default"));
    browser.press("Resume");
    browser.wait_for("Pause");
    assert!(!browser.text().contains("the destination moves"), "{}", browser.text());
}

#[test]
fn a_destination_is_paused_and_resumed_on_its_page() {
    let stage = Stage::new();
    let Some(browser) = Browser::start(WIDE) else { return };
    stage.world.queue().enqueue(&[("url", NOWHERE)]);
    stage.sign_in(&browser, "/destination?name=acme.example%3A443");
    browser.press("Pause");
    browser.press("Pause now");
    browser.wait_for("Paused until it is resumed, by ann");
    browser.press("Resume");
    browser.wait_for("It holds no job");
}

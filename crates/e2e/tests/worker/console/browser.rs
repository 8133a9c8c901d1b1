//! A real browser, headless Chromium, driven over WebDriver.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::wait::{self, DEADLINE};
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// How a browser shows pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// The width of the window, pixels.
    pub(super) width: u32,
    /// Whether pages are dark.
    pub(super) is_dark: bool,
    /// Whether pages run scripts.
    pub(super) has_scripts: bool,
}

/// A browser with its own profile. It ends with its value.
pub(super) struct Browser {
    runtime: Runtime,
    client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium; `None` if this machine has no `chromedriver`.
    ///
    /// # Panics
    ///
    /// If the driver is there and no browser starts.
    pub(super) fn start(view: View) -> Option<Browser> {
        let found = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).status();
        if found.is_err() {
            eprintln!("skipped: this machine has no chromedriver");
            return None;
        }
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = Driver(driver.expect("chromedriver starts"));
        let output = driver.0.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines.find_map(|line| port(&line)).expect("chromedriver names its port");
        // Otherwise it would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(view, profile.path()));
        let address = format!("http://127.0.0.1:{port}");
        let client = runtime.block_on(builder.connect(&address)).expect("Chromium starts");
        Some(Browser { runtime, client, _driver: driver, _profile: profile })
    }

    /// Opens a page.
    ///
    /// # Panics
    ///
    /// If the browser does not answer, as every function here.
    pub(super) fn open(&self, url: &str) {
        self.run(self.client.goto(url));
    }

    /// Types into the first element that the CSS selector matches.
    pub(super) fn fill(&self, selector: &str, text: &str) {
        let element = self.run(self.client.wait().for_element(Locator::Css(selector)));
        self.run(element.clear());
        self.run(element.send_keys(text));
    }

    /// Clicks the link or button with this text.
    pub(super) fn press(&self, text: &str) {
        let path = format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']");
        let element = self.run(self.client.wait().for_element(Locator::XPath(&path)));
        self.run(element.click());
    }

    /// The text of the page, as a person sees it.
    pub(super) fn text(&self) -> String {
        let body = self.run(self.client.find(Locator::Css("body")));
        self.run(body.text())
    }

    /// Waits until the page contains a text.
    #[track_caller]
    pub(super) fn wait_for(&self, text: &str) {
        wait::eventually(&format!("a page with {text:?}"), DEADLINE, || {
            // The page may be replaced in this moment.
            let page = async { self.client.find(Locator::Css("body")).await?.text().await };
            self.runtime.block_on(page).ok().filter(|page| page.contains(text)).map(drop)
        });
    }

    /// The path of the page's address.
    pub(super) fn path(&self) -> String {
        self.run(self.client.current_url()).path().to_owned()
    }

    /// What a script returns.
    pub(super) fn script(&self, script: &str) -> Value {
        self.run(self.client.execute(script, vec![]))
    }

    /// Violations of WCAG 2.1 A and AA on this page, found by axe-core.
    pub(super) fn violations(&self, axe: &str) -> Vec<String> {
        const RUN: &str = "const done = arguments[arguments.length - 1]; \
            axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}) \
                .then(found => done(found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' | '))), \
                      error => done(['failed: ' + error]));";
        self.script(axe);
        let found = self.run(self.client.execute_async(RUN, vec![]));
        let found = found.as_array().expect("a list");
        found.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Writes a picture of the whole page.
    pub(super) fn picture(&self, file: &Path) {
        let size = self.script("return [document.documentElement.scrollHeight, window.innerWidth]");
        let (height, width) = (size[0].as_u64().unwrap_or(800), size[1].as_u64().unwrap_or(800));
        self.run(self.client.set_window_size(width as u32, (height as u32).clamp(600, 4_000) + 200));
        let picture = self.run(self.client.screenshot());
        std::fs::write(file, picture).expect("the picture is written");
    }

    /// Writes a picture of the upper part of the page.
    pub(super) fn cut_out(&self, file: &Path, width: u32, height: u32) {
        // A window of a headless browser is that much higher than its page.
        let inner = self.script("return window.outerHeight - window.innerHeight").as_u64().unwrap_or(0);
        self.run(self.client.set_window_size(width, height + inner as u32));
        let picture = self.run(self.client.screenshot());
        std::fs::write(file, picture).expect("the picture is written");
    }

    fn run<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(command).expect("the browser does it")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
    }
}

/// The process between this one and the browser.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn port(line: &str) -> Option<u16> {
    line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

fn capabilities(view: View, profile: &Path) -> serde_json::Map<String, Value> {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        format!("--window-size={},900", view.width),
        format!("--blink-settings=preferredColorScheme={}", u8::from(!view.is_dark)),
    ];
    if view.is_dark {
        arguments.push("--force-dark-mode".to_owned());
    }
    let mut options = json!({"args": arguments});
    // No window is narrower than 500 pixels.
    if view.width < 500 {
        let metrics = json!({"width": view.width, "height": 900, "pixelRatio": 1.0, "touch": false});
        options["mobileEmulation"] = json!({"deviceMetrics": metrics});
    }
    if !view.has_scripts {
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let all = json!({"browserName": "chrome", "goog:chromeOptions": options});
    all.as_object().expect("an object").clone()
}

/// The folder for pictures of pages: `POSTRIDER_PICTURES`, if it is set.
pub(super) fn pictures() -> Option<PathBuf> {
    std::env::var_os("POSTRIDER_PICTURES").map(PathBuf::from)
}

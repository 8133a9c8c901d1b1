//! Makes the certificate of one server, or of one kind of installation: `cargo xtask certificates` calls it for each.
//!
//! `certificates KIND FOLDER NAME [OPTION…]`: KIND is `single`, `cluster` or `sentinel`; the report is written into FOLDER as
//! NAME.html and NAME.json, and the page README.md of all reports there; the options are those of `postrider certify`, and
//! `--kill-redis=SECONDS` to kill the server that often. Servers run `POSTRIDER_REDIS_SERVER`.

mod index;
mod installation;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};

use installation::Installation;

/// How long a run may take.
const DEADLINE: Duration = Duration::from_secs(4 * 3600);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, folder, name, options @ ..] = arguments.as_slice() else {
        eprintln!("certificates KIND FOLDER NAME [OPTION…]");
        return ExitCode::from(2);
    };
    let (kills, options): (Vec<&String>, Vec<&String>) =
        options.iter().partition(|option| option.starts_with("--kill-redis="));
    let kill_every = kills.first().map(|option| {
        let seconds = option.trim_start_matches("--kill-redis=");
        Duration::from_secs(seconds.parse().expect("--kill-redis has a number of seconds"))
    });
    let file = |ending: &str| Path::new(folder).join(format!("{name}.{ending}")).display().to_string();
    let outputs = [format!("--json={}", file("json")), format!("--html={}", file("html"))];
    let words = outputs.iter().chain(options).map(String::as_str).collect::<Vec<_>>();
    let mut installation = Installation::start(kind);
    println!("certify {}", words.join(" "));
    let mut certify = Postrider::certify(Build::Lean, &installation.url(), &words);
    let mut killed = 0;
    let (start, time) = (Instant::now(), plan_time(&words));
    // The last kill is some seconds before the end of the plan, as the first one is after its start.
    while let Some(pause) = kill_every.filter(|pause| start.elapsed() + *pause < time) {
        std::thread::sleep(pause);
        if certify.exited().is_some() {
            break;
        }
        installation.kill_server();
        killed += 1;
    }
    let status = certify.wait_exit(DEADLINE);
    println!("{name}: {status}, {killed} kills of the server\n{}", certify.log().join("\n"));
    index::write(Path::new(folder));
    ExitCode::from(u8::from(!status.success()))
}

/// The time of the plan.
fn plan_time(words: &[&str]) -> Duration {
    let minutes = words.iter().find_map(|word| word.strip_prefix("--minutes=")?.parse::<f64>().ok());
    Duration::from_secs_f64(minutes.unwrap_or(30.0) * 60.0)
}

//! `postrider certify` as a process.

use super::{Build, Postrider};

impl Postrider {
    /// Starts `postrider certify` on the Redis with this URL. Its workers run both builds in turn.
    ///
    /// # Panics
    ///
    /// If there is no binary.
    pub fn certify(build: Build, url: &str, arguments: &[&str]) -> Postrider {
        let [otel, lean] = Build::ALL.map(|build| build.program().to_string_lossy().into_owned());
        let workers = ["--worker", &otel, "--worker", &lean];
        let has_workers = arguments.iter().any(|argument| argument.starts_with("--worker="));
        let workers = if has_workers { &[] } else { &workers[..] };
        let arguments = [&["certify"], workers, arguments].concat();
        Postrider::spawn(build.command(&arguments, &[("POSTRIDER_REDIS_URL", url)]))
    }
}

//! Where Redis is.

use clap::Args;

use crate::config::secret_file;

/// The address of Redis.
#[derive(Clone, Debug, Args)]
pub(super) struct RedisArgs {
    /// Address of Redis: redis://[user:password@]host[:port][/database], rediss:// for TLS,
    /// redis-cluster://, redis-sentinel://, redis+unix://. With a password, use the variable or
    /// --redis-url-file: every user of the machine can see arguments
    // The value may hold a password: `--help` must not show it.
    #[arg(
        long,
        env = "POSTRIDER_REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true,
        value_name = "URL"
    )]
    redis_url: String,
    /// File with the address of Redis
    // It is read with the arguments.
    #[arg(
        long,
        env = "POSTRIDER_REDIS_URL_FILE",
        conflicts_with = "redis_url",
        value_parser = address_file,
        value_name = "FILE"
    )]
    redis_url_file: Option<String>,
}

impl RedisArgs {
    /// The address.
    pub(super) fn url(&self) -> &str {
        self.redis_url_file.as_deref().unwrap_or(&self.redis_url)
    }
}

/// The address in a file.
pub(super) fn address_file(path: &str) -> Result<String, String> {
    match secret_file(path) {
        Ok(url) if url.is_empty() => Err("it is empty".to_owned()),
        read => read.map_err(|error| format!("it cannot be read: {error}")),
    }
}

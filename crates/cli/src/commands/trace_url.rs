//! The address of a trace in the tracing backend.

use clap::Args;

/// Where traces are shown.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct TraceUrl {
    /// Address of a trace, with {trace_id} in place of its id: http://localhost:16686/trace/{trace_id}
    #[arg(long = "trace-url", env = "POSTRIDER_TRACE_URL", value_name = "URL", value_parser = pattern)]
    pub(super) url: Option<String>,
}

fn pattern(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    match is_web && text.contains("{trace_id}") {
        true => Ok(text.to_owned()),
        false => {
            Err("write an address with {trace_id}, as http://localhost:16686/trace/{trace_id}".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_place_of_the_id() {
        assert!(pattern("https://jaeger.test/trace/{trace_id}?x=1").is_ok());
        for wrong in ["", "https://jaeger.test/trace/", "javascript:{trace_id}", "jaeger/{trace_id}"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }
}

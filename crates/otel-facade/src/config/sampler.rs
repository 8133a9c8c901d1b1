//! Which traces are recorded.

use super::reader::Reader;

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampler {
    /// Whether a parent's decision holds for its children.
    pub parent_based: bool,
    /// The decision for traces that no parent has decided on.
    pub root: Root,
}

impl Sampler {
    /// A sampler of these parts.
    pub const fn new(parent_based: bool, root: Root) -> Self {
        Self { parent_based, root }
    }
}

/// The decision on a trace without a parent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Root {
    /// All are recorded.
    AlwaysOn,
    /// None is recorded.
    AlwaysOff,
    /// This share is recorded, by the trace's id.
    Ratio(f64),
}

impl Reader<'_> {
    pub(super) fn sampler(&mut self) -> Sampler {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let word = self.word(NAME).unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (parent_based, kind) =
            word.strip_prefix("parentbased_").map_or((false, word.as_str()), |kind| (true, kind));
        let root = match kind {
            "always_on" => Root::AlwaysOn,
            "always_off" => Root::AlwaysOff,
            "traceidratio" => return Sampler { parent_based, root: Root::Ratio(self.ratio()) },
            _ => {
                self.warn(format!(
                    "{NAME} knows always_on, always_off, traceidratio, each also with parentbased_ before it; \
                     parentbased_always_on is used"
                ));
                return Sampler { parent_based: true, root: Root::AlwaysOn };
            }
        };
        if self.get("OTEL_TRACES_SAMPLER_ARG").is_some() {
            self.warn(format!(
                "OTEL_TRACES_SAMPLER_ARG is ignored: only {NAME}=[parentbased_]traceidratio takes it"
            ));
        }
        Sampler { parent_based, root }
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(value) = self.get(NAME) else { return 1.0 };
        match value.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.warn(format!("{NAME} is not a number from 0 to 1, 1 is used: every trace is recorded"));
                1.0
            }
        }
    }
}

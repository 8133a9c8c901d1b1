//! The scripts of flows.

use super::{Call, FLOW, Held, Script};

/// The key of what all workers share of [`FLOW`].
pub fn flow_key() -> String {
    format!("postrider:flow:{{{FLOW}}}")
}

/// What a worker asks of a flow, and the flow's limits.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub consumer: &'a str,
    /// How many attempts it is making.
    pub making: u32,
    /// How many more it wants.
    pub more: u32,
    /// Whether it makes them itself.
    pub is_made: bool,
    /// Tokens a second, 0 for any number.
    pub rate: u32,
    /// Most tokens.
    pub burst: u32,
    /// Most attempts at once, 0 for any number.
    pub most: u32,
    /// Whether the breaker is not asked.
    pub is_past_breaker: bool,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            consumer: "a",
            making: 0,
            more: 1,
            is_made: true,
            rate: 0,
            burst: 0,
            most: 0,
            is_past_breaker: false,
        }
    }
}

impl Call {
    /// Parks a job that is held into the set of [`FLOW`], which is looked after within a minute.
    pub fn park_into_flow(held: &Held, fields: &[(&str, &str)]) -> Call {
        let mut call = Call::settle(Script::Park, held, fields);
        call.keys[2] = super::key(&format!("flow:{FLOW}"));
        call.keys[3] = super::key("flows");
        call.args[5] = b"flow".to_vec();
        call.args[6] = b"60000".to_vec();
        call
    }

    /// Admits so many jobs of [`FLOW`], and those that were enqueued before a time, Unix ms, besides.
    pub fn admit(count: u32, older_than: u64) -> Call {
        let set = format!("flow:{FLOW}");
        let keys = ["jobs", "waiting", &set, "dead", "flows"];
        let args = [FLOW, &count.to_string(), "yes", "1000", &older_than.to_string()];
        Call::new(Script::Admit, &keys, &args)
    }

    /// Asks [`FLOW`] for attempts; a trial may take 30 s, and the breaker is open for 60 s at most.
    pub fn flow_take(ask: Ask<'_>) -> Call {
        let text = |number: u32| number.to_string().into_bytes();
        let args = vec![
            ask.consumer.into(),
            text(ask.making),
            text(ask.more),
            text(ask.is_made.into()),
            text(ask.rate),
            text(ask.burst),
            text(ask.most),
            b"30000".to_vec(),
            text(ask.is_past_breaker.into()),
            b"60000".to_vec(),
        ];
        Call { script: Script::FlowTake, keys: vec![flow_key()], args }
    }

    /// Tells the breaker of [`FLOW`], which is open for 5 s the first time and for 60 s at most.
    pub fn flow_tell(works: bool) -> Call {
        let what = if works { "works" } else { "fails" };
        let args = [what, "5000", "60000", "1", "h:80"].map(|arg| arg.as_bytes().to_vec()).to_vec();
        Call { script: Script::FlowTell, keys: vec![flow_key()], args }
    }

    /// Gives [`FLOW`] back what was granted, a token of so many at most.
    pub fn flow_back(is_trial: bool, burst: u32) -> Call {
        let args = vec![u8::from(is_trial).to_string().into_bytes(), burst.to_string().into_bytes()];
        Call { script: Script::FlowBack, keys: vec![flow_key()], args }
    }

    /// Looks for jobs that are astray, where these flows are known.
    pub fn mend(known: &[&str]) -> Call {
        let sets: Vec<String> = known.iter().map(|flow| format!("flow:{flow}")).collect();
        let keys = ["waiting", "scheduled", "flows"].into_iter().chain(sets.iter().map(String::as_str));
        Call::new(Script::Mend, &keys.collect::<Vec<_>>(), &[&["500"], known].concat())
    }
}

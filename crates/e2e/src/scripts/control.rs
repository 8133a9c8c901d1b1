//! The scripts of the hash with what operators have set for all workers.

use super::{Call, Script};

/// The key of the hash.
pub const CONTROL: &str = "postrider:{control}";

impl Call {
    /// Reads what is set.
    pub fn control() -> Call {
        of(Script::Control, &[])
    }

    /// Pauses by these fields until a time, Unix ms, or for a time, ms; 0 for neither. The hash may have five fields.
    pub fn pause(at: i64, after: u32, fields: &[&str]) -> Call {
        let (at, after) = (at.to_string(), after.to_string());
        let pairs = fields.iter().flat_map(|field| [*field, r#"{"why":"a test"}"#]);
        of(Script::Pause, &[at.as_str(), &after, "5"].into_iter().chain(pairs).collect::<Vec<_>>())
    }

    /// Ends pauses.
    pub fn resume(fields: &[&str]) -> Call {
        of(Script::Resume, fields)
    }
}

fn of(script: Script, args: &[&str]) -> Call {
    Call {
        script,
        keys: vec![CONTROL.to_owned()],
        args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
    }
}

//! Changes by hand.

use super::settle::{Log, bounds};
use super::{Call, GROUP, MARK, Shard};

const ERROR: &str = "cancelled by hand";

impl Shard {
    /// Cancels a job in the stream.
    pub(crate) fn cancel_ready(
        self,
        id: &str,
        job_id: &str,
        result_ms: Option<u64>,
        log: Option<Log>,
    ) -> Call {
        let key = result_ms.map_or_else(|| "dead".to_owned(), |_| format!("result:{job_id}"));
        let own = [GROUP, id, job_id, ERROR].map(str::to_owned).to_vec();
        let arguments = [own, bounds(result_ms.map(|ttl| (job_id, ttl)))].concat();
        let call = self.call("cancel_ready", &["jobs", "dead", "sizes", &key, "mark", "stats"], &arguments);
        call.with_log(self, log, Some("[1]\n"))
    }

    /// Cancels a scheduled job, or a held one of a flow.
    pub(crate) fn cancel_waiting(
        self,
        job_id: &str,
        flow: Option<&str>,
        result_ms: Option<u64>,
        log: Option<Log>,
    ) -> Call {
        let key = result_ms.map_or_else(|| "dead".to_owned(), |_| format!("result:{job_id}"));
        let [set, flows] = sets(flow);
        let own = [job_id, ERROR].map(str::to_owned).to_vec();
        let arguments = [own, bounds(result_ms.map(|ttl| (job_id, ttl)))].concat();
        let keys = ["waiting", &set, "dead", "sizes", &key, &flows, "stats", "jobs", "mark"];
        self.call("cancel_waiting", &keys, &arguments).with_log(self, log, Some("[1]\n"))
    }

    /// Moves a waiting job to the stream.
    pub(crate) fn run_now(self, job_id: &str, flow: Option<&str>) -> Call {
        let [set, flows] = sets(flow);
        self.call("run_now", &["jobs", "waiting", &set, &flows], &[job_id, "1"])
    }

    /// Replaces a dead letter by a new job.
    pub(crate) fn replay(self, stream: &str, id: &str, expires_ms: u64) -> Call {
        self.call("replay", &["jobs", stream, "mark"], &[id, &expires_ms.to_string(), "", MARK])
    }
}

/// The set of a waiting job, and the set of flows.
fn sets(flow: Option<&str>) -> [String; 2] {
    flow.map_or_else(
        || [(); 2].map(|()| "scheduled".to_owned()),
        |flow| [format!("flow:{flow}"), "flows".to_owned()],
    )
}

/// The hash of what operators set for all workers.
pub(crate) const CONTROL: &str = "postrider:{control}";

impl Call {
    fn control(script: &'static str, arguments: &[&str]) -> Call {
        let arguments = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        Call { script, keys: vec![CONTROL.as_bytes().to_vec()], arguments }
    }

    /// Pauses what a field names, until a time or for a time.
    pub(crate) fn pause(field: &str, until: u64, for_ms: u64) -> Call {
        Self::control("pause", &[&until.to_string(), &for_ms.to_string(), "1000", field, "{}"])
    }

    /// Ends a pause.
    pub(crate) fn resume(field: &str) -> Call {
        Self::control("resume", &[field])
    }

    /// Reads what is paused.
    pub(crate) fn read_control() -> Call {
        Self::control("control", &[])
    }

    /// Asks workers to record jobs that end.
    pub(crate) fn watch(for_ms: u64) -> Call {
        Self::control("watch", &[&for_ms.to_string()])
    }
}

//! The worker's records of a job: its history, its result, the fields of a waiting job, its trace.

mod callback;
pub mod fields;
pub mod history;
mod log_record;
mod packed_attempt;
mod phases;
mod result;

pub use callback::{CallbackBody, CallbackJob};
pub use fields::TraceparentOnly;
pub use log_record::LogRecord;
pub use phases::Phases;
pub use result::{JobResult, Kept};

//! How jobs, dead letters, queues and flows are shown.

pub mod view;

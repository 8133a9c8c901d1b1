//! Tests of the worker in both builds, and of the harness. They are modules of one program, because each program of
//! tests links the whole harness once more: a new file of tests needs its `mod` here.

mod accidents;
mod bulkheads;
mod bytes;
mod client_certificates;
mod cluster;
mod dashboards;
mod dead_letters;
mod delivery;
mod deployments;
mod doctor;
mod egress;
mod flows;
mod flows_answers;
mod flows_given_back;
mod flows_share;
mod harness;
mod health;
mod held_up;
mod hostile;
mod lean;
mod ledger;
mod malformed;
mod named_points;
mod outcomes;
mod propagators;
mod queues;
mod redis_tls;
mod redis_trouble;
mod same_bytes;
mod scripts;
mod send_from;
mod shutdown;
mod takeover;
mod tools;
mod volume;

//! Tests of what an attempt comes to.

use super::*;
use crate::policy::RetryWaits;

const AT: Circumstances =
    Circumstances { number: 1, max_attempts: None, age: Duration::from_secs(10), left: None, random: 1.0 };

fn policy() -> RetryPolicy {
    let waits = RetryWaits::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(9) };
    RetryPolicy { waits, max_attempts: 3, ..RetryPolicy::default() }
}

fn answer(status: u16) -> SendResult {
    SendResult::Answer(Answer { status, ..Answer::default() })
}

fn judge(result: SendResult, number: u32) -> Outcome {
    Outcome::judge(&result, &policy(), &Circumstances { number, ..AT })
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Dead { reason, .. } => Some(*reason),
        _ => None,
    }
}

fn failed(error: ErrorType) -> SendResult {
    SendResult::Failed { error, text: "no luck".to_owned() }
}

fn after(seconds: u64) -> Outcome {
    Outcome::Retry { after: Duration::from_secs(seconds), why: WaitReason::Backoff }
}

#[test]
fn a_response_is_judged_by_its_status() {
    assert_eq!(judge(answer(204), 3), Outcome::Succeeded);
    assert_eq!(judge(answer(503), 1), after(1));
    for status in [100, 301, 404, 410, 999] {
        assert_eq!(reason(&judge(answer(status), 1)), Some(Reason::FinalStatus), "{status}");
    }
}

#[test]
fn network_faults_are_tried_again() {
    for error in [ErrorType::Timeout, ErrorType::Connect, ErrorType::Dns, ErrorType::Other] {
        assert_eq!(judge(failed(error), 2), after(2));
    }
}

#[test]
fn a_fault_of_the_proxy_is_not_the_jobs() {
    let outcome = judge(failed(ErrorType::Proxy), 3);
    assert_eq!(
        outcome,
        Outcome::HandedBack { after: Duration::from_secs(9), why: WaitReason::Proxy },
        "also after the last attempt"
    );
    assert!(!failed(ErrorType::Proxy).was_attempt());
    let outcome = judge(failed(WORKER_FAULT), 3);
    assert!(matches!(outcome, Outcome::HandedBack { why: WaitReason::WorkerFault, .. }), "{outcome:?}");
    assert!(!failed(WORKER_FAULT).was_attempt());
}

#[test]
fn a_refusal_is_final() {
    assert_eq!(reason(&judge(failed(ErrorType::Refused), 1)), Some(Reason::Refused));
}

#[test]
fn the_last_attempt_is_the_last() {
    assert_eq!(reason(&judge(answer(503), 3)), Some(Reason::Attempts));
    let own = Circumstances { max_attempts: Some(1), ..AT };
    assert_eq!(reason(&Outcome::judge(&answer(503), &policy(), &own)), Some(Reason::Attempts));
}

#[test]
fn the_wait_that_a_destination_asks_for_is_kept_up_to_a_cap() {
    let policy = RetryPolicy { retry_after_cap: Duration::from_secs(100), ..policy() };
    let asks = |seconds, at: Circumstances| {
        let retry_after = Some(Duration::from_secs(seconds));
        Outcome::judge(&SendResult::Answer(Answer { status: 429, retry_after, kept: None }), &policy, &at)
    };
    assert_eq!(asks(0, AT), after(1), "never sooner than the policy's wait");
    let asked = |seconds| Outcome::Retry { after: Duration::from_secs(seconds), why: WaitReason::RetryAfter };
    assert_eq!(asks(60, AT), asked(60));
    assert_eq!(asks(u64::MAX, AT), asked(100));
    let left = Some(Duration::from_secs(59));
    assert_eq!(reason(&asks(60, Circumstances { left, ..AT })), Some(Reason::Expired));
}

#[test]
fn a_job_that_is_forbidden_for_a_time_waits_for_that_time() {
    let answer = |status, asked: Option<u64>| {
        let retry_after = asked.map(Duration::from_secs);
        judge(SendResult::Answer(Answer { status, retry_after, kept: None }), 1)
    };
    for status in [403, 413] {
        let outcome = answer(status, Some(30));
        let waits = Outcome::Retry { after: Duration::from_secs(30), why: WaitReason::RetryAfter };
        assert_eq!(outcome, waits, "{status}");
        assert_eq!(reason(&answer(status, None)), Some(Reason::FinalStatus), "{status}");
    }
    assert_eq!(reason(&answer(404, Some(30))), Some(Reason::FinalStatus));
}

#[test]
fn a_job_that_would_be_too_old_is_not_tried_again() {
    let policy = RetryPolicy { max_age: Some(Duration::from_secs(60)), ..policy() };
    let judge = |age| {
        let age = Duration::from_secs(age);
        Outcome::judge(&answer(503), &policy, &Circumstances { age, ..AT })
    };
    assert_eq!(reason(&judge(58)), None);
    assert_eq!(reason(&judge(60)), Some(Reason::Expired));
}

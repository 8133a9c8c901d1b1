//! Why a job waits.

/// Why a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its producer set a time.
    Delay,
    /// The retry policy pauses before the next attempt.
    Backoff,
    /// The destination requested it with `Retry-After`.
    RetryAfter,
    /// The outbound proxy fails.
    Proxy,
    /// The worker lacked something that the attempt needed.
    WorkerFault,
    /// The token endpoint of its secret gives no access token.
    Token,
    /// The worker shuts down and hands it back.
    Shutdown,
    /// Somebody has paused its flow.
    Paused,
    /// The breaker of its flow is open, or another job is its trial.
    Breaker,
    /// Its flow has reached its rate limit.
    Rate,
    /// Its flow has reached its concurrency limit.
    Concurrency,
    /// This worker already makes as many attempts of its flow as the destination can take.
    Window,
    /// Older jobs of its flow are held.
    Order,
    /// An earlier job of its order key has not ended.
    Turn,
    /// Redis does not answer the call that checks its flow's limits or its lease.
    Redis,
}

impl WaitReason {
    /// The text of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Backoff => "backoff",
            Self::RetryAfter => "retry_after",
            Self::Proxy => "proxy",
            Self::WorkerFault => "worker_fault",
            Self::Token => "token",
            Self::Shutdown => "shutdown",
            Self::Paused => "paused",
            Self::Breaker => "breaker",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Window => "window",
            Self::Order => "order",
            Self::Turn => "turn",
            Self::Redis => "redis",
        }
    }
}

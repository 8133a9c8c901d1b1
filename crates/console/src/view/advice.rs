//! What an outcome means, and what to do about it.

/// What the last attempt's status or error means, and what to do; `None` for a success, or a word that is not known.
pub fn advice(status: Option<u64>, error: Option<&str>) -> Option<&'static str> {
    match status {
        Some(status) => of_status(status),
        None => of_error(error?),
    }
}

fn of_status(status: u64) -> Option<&'static str> {
    Some(match status {
        200..300 => return None,
        300..400 => {
            "The destination sends callers elsewhere. Redirects are followed only if the worker is configured to; use the new URL."
        }
        401 | 403 => {
            "The destination does not accept the credentials. Check the secret or the header Authorization, then replay."
        }
        404 | 410 => "The destination does not know this path. Check the URL with its owner.",
        408 | 425 => {
            "The destination asks for the request again. It is repeated until the attempts are used up."
        }
        413 => "The destination refuses the body as too large.",
        415 | 422 | 400 => {
            "The destination refuses the request as it is. Compare headers and body with its documentation."
        }
        429 => {
            "The destination limits the rate. Its flow waits as long as the destination asks for, and slows down."
        }
        502..505 => {
            "The destination's own front reaches no server behind it. That passes; if not, tell its owner."
        }
        500.. => "The destination failed. Tell its owner; the trace id finds the request in their logs.",
        _ => "The destination refuses the request. Another attempt would not change that.",
    })
}

fn of_error(error: &str) -> Option<&'static str> {
    Some(match error {
        "dns" => {
            "The host name cannot be resolved. Check its spelling, and whether the worker's name server knows it."
        }
        "dns_timeout" => "The name server did not answer in time. Check the worker's network.",
        "connect" => {
            "Nothing accepts connections at this host and port. The server is down, or a firewall refuses."
        }
        "connect_timeout" => "No connection in time. A firewall drops packets, or the server is overloaded.",
        "tls" => {
            "The TLS handshake failed. Check the certificate (name, expiry, issuer) and the protocol's version."
        }
        "tls_timeout" => "The TLS handshake took too long. Perhaps the port speaks no TLS.",
        "upload_timeout" => "The destination did not take the request in time.",
        "headers_timeout" => {
            "The destination took the request and did not answer in time. It may have acted on it."
        }
        "body_timeout" => "The response did not end in time.",
        "connection_reset" => {
            "The connection broke before a response. The destination may have acted on the request."
        }
        "protocol" | "too_large" => {
            "The response is not valid HTTP, or larger than allowed. Is the URL's port right?"
        }
        "body" => "A body could not be sent or read.",
        "proxy" => "The proxy failed. That costs no attempt; check the proxy.",
        "worker_fault" => {
            "The worker lacks something, for example a name server. That costs no attempt; see its log."
        }
        "token" => {
            "The token endpoint of the job's secret gave no access token. That costs no attempt; see the worker's log."
        }
        "refused" => {
            "The egress policy forbids this destination. Change the URL, or the worker's configuration."
        }
        _ => return None,
    })
}

/// What a reason of a dead letter means, and what to do.
pub fn advice_for_reason(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "malformed" => "The entry is no valid job. Mend the producer; a replay fails in the same way.",
        "version" => "The job's format is newer than the worker. Update the worker, then replay.",
        "refused" => {
            "The egress policy or the secret's hosts forbid this destination. Change the configuration, then replay."
        }
        "final_status" => {
            "After this status, another attempt would change nothing. Mend the cause, then replay."
        }
        "attempts" => "All attempts failed. Once the destination works again, replay it.",
        "expired" => "It could not be sent before it expired.",
        "poison" => {
            "Workers that had this job died again and again. Look at its size and its body before a replay."
        }
        "cancelled" => "Somebody cancelled it.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use postrider_queue::job::Reason;

    use super::*;

    #[test]
    fn each_reason_and_each_failure_has_advice() {
        for reason in Reason::ALL {
            assert!(advice_for_reason(reason.as_str()).is_some(), "{reason}");
        }
        for status in (300..600).chain([100, 199]) {
            assert!(advice(Some(status), None).is_some(), "{status}");
        }
        assert!(advice(Some(204), Some("tls")).is_none() && advice(None, None).is_none());
        assert!(advice(None, Some("tls")).is_some() && advice(None, Some("?")).is_none());
        assert_ne!(advice(Some(503), None), advice(Some(500), None));
    }
}

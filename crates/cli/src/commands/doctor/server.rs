//! Checks the server by its INFO, settings, clock and rights. Pure.

use postrider_queue::admin::{Server, Topology};

use super::Finding;

/// The oldest version that works: XPENDING with IDLE and exclusive ranges.
const OLDEST: (u32, u32) = (6, 2);
/// The tolerated difference of the clocks, ms.
const CLOCK_MS: i64 = 1_000;
pub(super) fn examine(server: &Server) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("connection", format!("answers within {} ms", server.round_trip_ms))];
    if server.topology == Topology::Cluster {
        findings.push(Finding::ok("connection", "a cluster; the server's checks are of one of its nodes"));
    }
    if server.topology == Topology::Single && info(server, "cluster_enabled") == "1" {
        let advice =
            "write redis-cluster:// in --redis-url, so that a failover or a further node stops nothing";
        findings.push(Finding::warn("connection", "a cluster of one node, used as a single server", advice));
    }
    if server.info.is_empty() {
        let advice = "allow +info for the doctor's user";
        findings.push(Finding::warn("server", "INFO is not allowed: most checks are impossible", advice));
    } else {
        findings.push(version(server));
        findings.push(role(server));
        findings.push(persistence(server));
        findings.push(memory(server));
        findings.extend(saving(server));
    }
    findings.push(eviction(server));
    findings.push(clock(server));
    findings
}

fn info<'a>(server: &'a Server, name: &str) -> &'a str {
    server.info.get(name).map_or("", String::as_str)
}

fn number(server: &Server, name: &str) -> u64 {
    info(server, name).parse().unwrap_or(0)
}

fn version(server: &Server) -> Finding {
    let (redis, valkey) = (info(server, "redis_version"), info(server, "valkey_version"));
    let seen = if valkey.is_empty() { format!("Redis {redis}") } else { format!("Valkey {valkey}") };
    let mut parts = redis.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= OLDEST {
        return Finding::ok("version", seen);
    }
    Finding::error("version", seen, "Redis 6.2 or newer, or Valkey, is needed: upgrade the server")
}

fn role(server: &Server) -> Finding {
    if info(server, "role") == "slave" {
        let primary = format!("{}:{}", info(server, "master_host"), info(server, "master_port"));
        let seen = format!("a replica of {primary}, which takes no writes");
        return Finding::error("role", seen, "point --redis-url at the primary, or use redis-sentinel://");
    }
    let replicas = number(server, "connected_slaves");
    let needed = server.config.get("min-replicas-to-write").map_or("unknown", String::as_str);
    if server.topology == Topology::Sentinel && needed == "0" {
        let seen = format!(
            "primary, {replicas} connected replicas, behind Sentinel, with min-replicas-to-write 0: after a failover, the \
             old primary goes on acknowledging jobs for some 13 s, and these are lost"
        );
        let advice = "set min-replicas-to-write 1 on all servers, with at least two replicas";
        return Finding::warn("role", seen, advice);
    }
    match replicas {
        0 => Finding::ok("role", "primary, without replicas: jobs are as safe as this machine and its disk"),
        replicas => Finding::ok(
            "role",
            format!(
                "primary, {replicas} connected replicas; a failover may lose the last writes, or repeat jobs"
            ),
        ),
    }
}

fn persistence(server: &Server) -> Finding {
    const CHECK: &str = "persistence";
    if info(server, "aof_enabled") == "1" {
        return match server.config.get("appendfsync").map(String::as_str) {
            Some("always") => Finding::ok(CHECK, "append-only file, appendfsync always"),
            Some("no") => Finding::warn(
                CHECK,
                "append-only file, appendfsync no: a power loss loses unwritten data, about the last 30 s",
                "set appendfsync everysec, or always",
            ),
            Some(fsync) => Finding::ok(
                CHECK,
                format!("append-only file, appendfsync {fsync}: a power loss may lose the last second"),
            ),
            None => {
                Finding::ok(CHECK, "append-only file; appendfsync is unknown, as CONFIG GET is not allowed")
            }
        };
    }
    let advice = "set appendonly yes";
    match server.config.get("save").map(String::as_str) {
        Some("") => Finding::warn(CHECK, "nothing is kept on disk: a restart loses all jobs", advice),
        _ => Finding::warn(CHECK, "snapshots only: a crash loses all jobs since the last one", advice),
    }
}

fn saving(server: &Server) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, what) in
        [("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "snapshot")]
    {
        if info(server, name) == "err" {
            let seen = format!("the last write of the {what} failed; Redis may refuse all writes");
            findings.push(Finding::error("persistence", seen, "see the server's log: is the disk full?"));
        }
    }
    if info(server, "loading") == "1" {
        findings.push(Finding::warn("server", "is loading its files", "wait until it has finished"));
    }
    findings
}

fn memory(server: &Server) -> Finding {
    let (used, most) = (number(server, "used_memory"), number(server, "maxmemory"));
    let mib = |bytes: u64| format!("{} MiB", bytes / (1024 * 1024));
    if most == 0 {
        let all = number(server, "total_system_memory");
        let seen = format!("{} used, no maxmemory, {} in the machine", mib(used), mib(all));
        if all > 0 && used > all / 10 * 8 {
            let advice = "set maxmemory, so that Redis refuses jobs instead of being killed; add memory";
            return Finding::warn("memory", seen, advice);
        }
        return Finding::ok("memory", seen);
    }
    let seen = format!("{} of maxmemory {} used", mib(used), mib(most));
    let advice =
        "a full Redis refuses new jobs, and workers drain the rest: add memory, or purge dead letters";
    if used >= most {
        Finding::error("memory", seen, advice)
    } else if used > most / 10 * 9 {
        Finding::warn("memory", seen, advice)
    } else {
        Finding::ok("memory", seen)
    }
}

fn eviction(server: &Server) -> Finding {
    const CHECK: &str = "eviction";
    let policy = server.config.get("maxmemory-policy").or_else(|| server.info.get("maxmemory_policy"));
    let Some(policy) = policy.map(String::as_str) else {
        let advice = "check that it is noeviction, or allow +info";
        return Finding::warn(CHECK, "maxmemory-policy is unknown", advice);
    };
    let advice = "CONFIG SET maxmemory-policy noeviction, and set it in the server's configuration";
    match policy {
        "noeviction" => Finding::ok(CHECK, "maxmemory-policy noeviction"),
        // The queues' keys have no TTL.
        _ if policy.starts_with("volatile-") => {
            let seen = format!("maxmemory-policy {policy}: results and limits may vanish, jobs do not");
            Finding::warn(CHECK, seen, advice)
        }
        _ => {
            let full = number(server, "maxmemory") > 0 || server.info.is_empty();
            let seen = format!("maxmemory-policy {policy}: a full Redis deletes whole queues");
            if full {
                return Finding::error(CHECK, seen, advice);
            }
            Finding::warn(CHECK, format!("{seen}, but no maxmemory is set"), advice)
        }
    }
}

fn clock(server: &Server) -> Finding {
    let ahead = server.ahead_ms;
    if ahead.abs() <= CLOCK_MS + server.round_trip_ms as i64 {
        return Finding::ok("clock", "Redis and this machine agree");
    }
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let seen = format!("Redis' clock is {} ms {way} this machine's", ahead.abs());
    let advice =
        "jobs use only Redis' clock, but `not_before` and `expires_at` come from producers: use NTP on both";
    Finding::warn("clock", seen, advice)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn server(info: &[(&str, &str)], config: &[(&str, &str)]) -> Server {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Server { info: map(info), config: map(config), ..Server::default() }
    }

    #[test]
    fn a_cluster_of_one_node_is_a_warning() {
        let warns = |topology| {
            let server = Server { topology, ..server(&[("cluster_enabled", "1")], &[]) };
            examine(&server).iter().any(|found| found.level == Level::Warn && found.seen.contains("one node"))
        };
        assert_eq!([warns(Topology::Single), warns(Topology::Cluster)], [true, false]);
    }

    #[test]
    fn an_old_server_is_an_error() {
        for (text, level) in [("6.0.20", Level::Error), ("6.2.0", Level::Ok), ("7.2.4", Level::Ok)] {
            assert_eq!(version(&server(&[("redis_version", text)], &[])).level, level, "{text}");
        }
    }

    #[test]
    fn eviction_is_an_error_where_it_can_happen() {
        let level = |policy, maxmemory| {
            eviction(&server(&[("maxmemory", maxmemory)], &[("maxmemory-policy", policy)])).level
        };
        assert_eq!(level("noeviction", "100"), Level::Ok);
        assert_eq!(level("allkeys-lru", "100"), Level::Error);
        assert_eq!(level("allkeys-lru", "0"), Level::Warn);
        assert_eq!(level("volatile-ttl", "100"), Level::Warn);
        assert_eq!(eviction(&server(&[("maxmemory_policy", "noeviction")], &[])).level, Level::Ok);
    }

    #[test]
    fn a_replica_is_an_error() {
        assert_eq!(role(&server(&[("role", "slave")], &[])).level, Level::Error);
        assert_eq!(role(&server(&[("role", "master")], &[])).level, Level::Ok);
    }

    #[test]
    fn a_primary_that_would_acknowledge_jobs_after_a_failover_is_a_warning() {
        let level = |topology, needed| {
            let server = server(&[("role", "master")], &[("min-replicas-to-write", needed)]);
            role(&Server { topology, ..server }).level
        };
        assert_eq!(level(Topology::Sentinel, "0"), Level::Warn);
        assert_eq!(level(Topology::Sentinel, "1"), Level::Ok);
        assert_eq!(level(Topology::Single, "0"), Level::Ok, "a replica for reading or backup");
    }

    #[test]
    fn a_possible_loss_of_jobs_is_reported() {
        let seen = |info: &[(&str, &str)], config: &[(&str, &str)]| {
            let finding = persistence(&server(info, config));
            (finding.level, finding.seen)
        };
        let aof = [("aof_enabled", "1")];
        assert_eq!(seen(&aof, &[("appendfsync", "always")]).0, Level::Ok);
        assert!(seen(&aof, &[("appendfsync", "everysec")]).1.contains("last second"));
        assert_eq!(seen(&aof, &[("appendfsync", "no")]).0, Level::Warn);
        assert!(seen(&[], &[("save", "")]).1.contains("all jobs"));
    }

    #[test]
    fn a_full_memory_is_an_error_and_a_nearly_full_one_a_warning() {
        let level = |used| memory(&server(&[("used_memory", used), ("maxmemory", "100")], &[])).level;
        assert_eq!([level("50"), level("95"), level("100")], [Level::Ok, Level::Warn, Level::Error]);
    }

    #[test]
    fn the_clock_is_only_a_warning() {
        let level = |ahead_ms| clock(&Server { ahead_ms, ..Server::default() }).level;
        assert_eq!([level(5), level(-60_000), level(60_000)], [Level::Ok, Level::Warn, Level::Warn]);
    }
}

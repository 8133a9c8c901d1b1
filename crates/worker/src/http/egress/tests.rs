//! Destinations and verdicts.

use super::*;

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The verdict on a destination whose name has this address; an empty text means that it may be reached.
fn verdict(egress: &Egress, url: &str, address: &str) -> String {
    let uri: http::Uri = url.parse().unwrap();
    let scheme = uri.scheme_str().unwrap();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let host = uri.host().unwrap();
    let verdict = egress
        .check_name(scheme, host, port)
        .and_then(|()| egress.check(host, address.parse().unwrap(), port));
    verdict.map_or_else(|refusal| refusal.to_string(), |()| String::new())
}

fn check(egress: &Egress, url: &str, address: &str, part: &str) {
    let verdict = verdict(egress, url, address);
    let as_expected = if part.is_empty() { verdict.is_empty() } else { verdict.contains(part) };
    assert!(as_expected, "{url} at {address}: {verdict:?}, not {part:?}");
}

#[test]
fn only_public_addresses_are_reached_without_a_rule() {
    let none = Egress::default();
    for (host, address, verdict) in [
        ("example.org", "93.184.216.34", ""),
        ("example.org", "2606:4700::1111", ""),
        ("example.org", "64:ff9b::5db8:d822", ""),
        (
            "localhost",
            "127.0.0.1",
            "127.0.0.1 (localhost) is not a public address but loopback (127.0.0.0/8, RFC 1122)",
        ),
        ("db", "::ffff:10.0.0.1", "10.0.0.1 (db) is not a public address but private"),
        ("db", "64:ff9b::a00:1", "10.0.0.1 (db) is not a public address but private"),
        ("db", "2002:a00:1::", "2002:a00:1:: (db) is not a public address but private"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1 is not"),
        ("0x7f.1", "127.0.0.1", "127.0.0.1 (0x7f.1) is not"),
        ("[::1]", "::1", "::1 is not a public address but loopback (::1/128, RFC 4291)"),
        ("169.254.169.254", "169.254.169.254", "the metadata service of clouds"),
    ] {
        check(&none, &format!("http://{host}/"), address, verdict);
    }
}

#[test]
fn a_literal_is_checked_before_anything_is_resolved() {
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1.", "[::1]", "[::ffff:7f00:1]"] {
        assert!(Egress::default().check_name("http", host, 80).is_err(), "{host}");
    }
    for host in ["localhost", "LocalHost.", "db.localhost"] {
        let refusal = Egress::default().check_name("http", host, 80).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("127.0.0.1 ({host}) is not")), "{refusal}");
        for rule in ["127.0.0.1", "::1", host] {
            let egress = Egress { allow: rules(&[rule]), ..Egress::default() };
            assert_eq!(egress.check_name("http", host, 80), Ok(()), "{rule}");
        }
    }
    assert!(Egress::default().check_name("http", "localhost.example", 80).is_ok());
}

#[test]
fn allow_opens_a_network_a_host_or_a_port_of_them() {
    for (rule, host, address, verdict) in [
        ("127.0.0.0/8", "localhost", "127.1.2.3", ""),
        ("127.0.0.1", "x", "::ffff:127.0.0.1", ""),
        ("::ffff:127.0.0.0/104", "x", "127.0.0.1", ""),
        ("127.0.0.1", "x", "64:ff9b::7f00:1", ""),
        ("127.0.0.0/8", "x", "2002:7f00:1::", "loopback"),
        ("127.0.0.0/8", "x", "10.0.0.1", "private"),
        ("::1", "x", "::1", ""),
        ("::/0", "x", "127.0.0.1", "loopback"),
        ("[::1]:80", "x", "::1", ""),
        ("[::1]:81", "x", "::1", "loopback"),
        ("hooks.internal:80", "Hooks.internal.", "10.0.0.9", ""),
        ("hooks.internal:8080", "hooks.internal", "10.0.0.9", "private"),
        ("hooks.internal", "evil.internal", "10.0.0.9", "private"),
        ("*.internal", "hooks.internal", "10.0.0.9", ""),
        ("*", "x", "169.254.169.254", ""),
    ] {
        let egress = Egress { allow: rules(&[rule]), ..Egress::default() };
        check(&egress, &format!("http://{host}/"), address, verdict);
    }
}

#[test]
fn deny_wins_and_names_its_rule() {
    for (rule, host, address, verdict) in [
        ("10.1.0.0/16", "db", "10.1.2.3", "10.1.2.3 (db) is denied by the rule `10.1.0.0/16`"),
        ("10.1.0.0/16", "db", "10.2.2.3", ""),
        ("8.8.8.8", "x", "64:ff9b::808:808", "denied"),
        ("8.8.8.8", "x", "2002:808:808::", "denied"),
        ("64:ff9b::/96", "x", "64:ff9b::808:808", "8.8.8.8 (x) is denied by the rule `64:ff9b::/96`"),
        ("64:ff9b::/96", "x", "8.8.8.8", ""),
        ("evil.example", "EVIL.example.", "8.8.8.8", "EVIL.example. is denied by the rule `evil.example`"),
        ("*.example", "evil.example", "8.8.8.8", "denied by the rule `*.example`"),
        ("*:80", "x", "8.8.8.8", "denied by the rule `*:80`"),
        ("*:25", "x", "8.8.8.8", ""),
    ] {
        let (allow, deny) = (rules(&["*"]), rules(&[rule]));
        check(&Egress { allow, deny, ..Egress::default() }, &format!("http://{host}/"), address, verdict);
    }
    let egress = Egress { deny: rules(&["evil.example"]), ..Egress::default() };
    assert!(egress.check_name("http", "evil.example", 80).is_err(), "before it is resolved");
}

#[test]
fn only_limits_and_opens_nothing() {
    let egress = Egress { only: rules(&["*.example.org:443", "93.184.0.0/16"]), ..Egress::default() };
    for (url, address, verdict) in [
        ("https://a.example.org/", "8.8.8.8", ""),
        ("https://a.example.org/", "10.0.0.1", "private"),
        ("http://a.example.org/", "8.8.8.8", "8.8.8.8 (a.example.org) is not covered by `only`"),
        ("http://example.net/", "93.184.216.34", ""),
        ("http://8.8.8.8/", "8.8.8.8", "8.8.8.8 is not covered by `only`"),
    ] {
        check(&egress, url, address, verdict);
    }
    let names = Egress { only: rules(&["a.example"]), ..Egress::default() };
    assert!(names.check_name("https", "b.example", 443).is_err(), "before it is resolved");
    assert!(names.check_name("https", "8.8.8.8", 443).is_err());
}

#[test]
fn schemes_and_ports_are_checked_first() {
    let egress = Egress {
        schemes: vec!["https".to_owned()],
        ports: vec![443, 8443],
        allow: rules(&["*"]),
        ..Egress::default()
    };
    check(&egress, "https://h/", "8.8.8.8", "");
    check(&egress, "https://h:8443/", "8.8.8.8", "");
    check(&egress, "http://h:443/", "8.8.8.8", "the scheme http is not one of `schemes`");
    check(&egress, "https://h:444/", "8.8.8.8", "h: the port 444 is not one of `ports`");
}

#[test]
fn the_refusal_names_a_flag_that_helps() {
    for address in ["10.0.0.1", "::1", "64:ff9b::a00:1", "2002:a00:1::1", "ff02::1"] {
        let refusal = Egress::default().check("db", address.parse().unwrap(), 80).unwrap_err().to_string();
        let (_, flag) = refusal.split_once("`--egress-allow ").expect(&refusal);
        let (rule, _) = flag.split_once('`').unwrap();
        let egress = Egress { allow: rules(&[rule]), ..Egress::default() };
        assert_eq!(egress.check("db", address.parse().unwrap(), 80), Ok(()), "{refusal}");
    }
}

#[test]
fn the_addresses_of_this_machine_are_refused_unless_they_are_allowed() {
    let own: Vec<IpAddr> = ["93.184.216.34", "2606:4700::1111"].map(|own| own.parse().unwrap()).to_vec();
    let check =
        |egress: &Egress, address: &str| egress.check_own("me.test", address.parse().unwrap(), 80, &own);
    for address in [
        "93.184.216.34",
        "::ffff:93.184.216.34",
        "64:ff9b::93.184.216.34",
        "2002:5db8:d822::1",
        "2606:4700::1111",
    ] {
        let refusal = check(&Egress::default(), address).expect_err(address).to_string();
        assert!(refusal.contains("(me.test) is an address of the machine"), "{refusal}");
        let (_, flag) = refusal.split_once("`--egress-allow ").expect(&refusal);
        let allowed = Egress { allow: rules(&[flag.split('`').next().unwrap()]), ..Egress::default() };
        assert_eq!(check(&allowed, address), Ok(()), "{refusal}");
    }
    assert_eq!(check(&Egress::default(), "93.184.216.35"), Ok(()));
    assert_eq!(
        check(&Egress { allow: rules(&["me.test:80"]), ..Egress::default() }, "93.184.216.34"),
        Ok(())
    );
}

#[test]
fn nobody_is_advised_to_open_a_metadata_service() {
    for address in ["169.254.169.254", "64:ff9b::169.254.169.254", "fd00:ec2::254", "168.63.129.16"] {
        let refusal = Egress::default().check("db", address.parse().unwrap(), 80).unwrap_err().to_string();
        assert!(refusal.ends_with("no job needs it") && !refusal.contains("allow"), "{refusal}");
    }
}

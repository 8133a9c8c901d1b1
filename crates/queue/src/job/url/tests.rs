//! Tests of URLs as producers write them.

use super::*;

fn read(url: &str) -> Result<Destination, String> {
    Destination::parse(&Bytes::copy_from_slice(url.as_bytes())).map_err(|malformed| malformed.error)
}

#[test]
fn a_url_is_read_as_browsers_read_it() {
    for (url, sent) in [
        ("http://h", "http://h/"),
        ("http://h?x", "http://h/?x"),
        ("http://h/café?q=✓", "http://h/caf%C3%A9?q=%E2%9C%93"),
        ("http://h/a b?c d#e f", "http://h/a%20b?c%20d"),
        (" http://h/x ", "http://h/x"),
        ("http://h/%zz?%", "http://h/%zz?%"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.Example./", "https://xn--bcher-kva.example./"),
        ("http://ex%61mple.org/", "http://example.org/"),
        ("http://１２７.0.0.1/", "http://127.0.0.1/"),
        ("http://0x7f.1:081/", "http://127.0.0.1:81/"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("http://h/a/../b/./c/%2e%2E/d", "http://h/b/d"),
        ("http://h/../../x?../y", "http://h/x?../y"),
        ("HTTP://EXAMPLE.org:80/A", "http://example.org/A"),
        ("http://h\\x\\y", "http://h/x/y"),
        ("http://u:p@h/", "http://h/"),
        ("http://h/{id}?\"<>'", "http://h/%7Bid%7D?%22%3C%3E%27"),
        ("http://@h/", "http://h/"),
    ] {
        assert_eq!(read(url).unwrap_or_else(|error| panic!("{url}: {error}")).uri.to_string(), sent, "{url}");
    }
}

#[test]
fn user_information_becomes_basic_authentication() {
    for (url, pair) in [
        ("http://u:p@h/", Some("u:p")),
        ("http://u@h/", Some("u:")),
        ("http://:p@h/", Some(":p")),
        ("http://m%40e:p%3As%C3%A9@h/", Some("m@e:p:sé")),
        ("http://@h/", None),
        ("http://h/u:p@x", None),
    ] {
        let read = read(url).unwrap();
        let expected = pair.map(|pair| format!("Basic {}", STANDARD.encode(pair)));
        let value = read.authorization.as_ref().map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(value, expected, "{url}");
        assert!(!format!("{read:?}").contains("Basic"), "{read:?}");
    }
}

#[test]
fn what_cannot_be_called_is_refused_without_being_repeated() {
    for (wrong, reason) in [
        ("", "has no scheme"),
        ("h", "has no scheme"),
        ("example.org/hunter2", "has no scheme; write https://"),
        ("localhost:8080/hunter2", "has no scheme"),
        ("me:hunter2@h", "has no scheme"),
        ("//h/x", "has no scheme"),
        ("ftp://h/", "\"ftp\" is neither http nor https"),
        ("file:///hunter2", "\"file\" is neither"),
        ("http://", "empty host"),
        ("http://h:0/", "port must be 1 to 65535"),
        ("http://h:99999/", "port must be 1 to 65535"),
        ("http://h:+80/", "port must be 1 to 65535"),
        ("http://256.1.1.1/", "ends in a number"),
        ("http://[fe80::1%25eth0]/", "without a zone"),
        ("http://a..b/", "is not a host name"),
        ("http://a b/hunter2", "not a URL"),
        ("http://xn--/", "not a URL"),
        ("http://h/a\tb", "control character"),
        ("http://h/x\n", "control character"),
        ("http://h/\r\nhunter2: 1", "control character"),
        ("ht\ntp://h/", "control character"),
    ] {
        let error = read(wrong).map(|read| read.uri).expect_err(wrong);
        assert!(error.contains(reason) && error.starts_with("field `url`"), "{wrong:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = Destination::parse(&Bytes::from_static(b"http://h/\xff")).unwrap_err().error;
    assert!(error.contains("must be UTF-8"), "{error}");
}

const PARTS: [&str; 34] = [
    "http://",
    "https://",
    "h",
    "example.org",
    "a-",
    "127.0.0.1",
    "10.1",
    "0x7f",
    "1.a",
    "xn--",
    ".",
    "..",
    ":80",
    ":443",
    ":8080",
    ":0",
    ":65536",
    "/",
    "//",
    "/a",
    "/.",
    "/%2e",
    "/a.b",
    "?",
    "?a=b",
    "&",
    "%41",
    "[]",
    "@",
    "#",
    "'",
    "~",
    "_",
    "é",
];

/// The shorter way reads what it takes as the standard does.
#[test]
fn a_plain_url_is_what_the_standard_makes_of_it() {
    let (mut random, mut plain) = (fastrand::Rng::with_seed(7), 0);
    for _ in 0..100_000 {
        let mut url = PARTS[random.usize(..2)].to_owned();
        (0..random.usize(1..7)).for_each(|_| url.push_str(PARTS[random.usize(..PARTS.len())]));
        if is_plain(url.as_bytes()) {
            plain += 1;
            let by_standard = Url::parse(&url).unwrap_or_else(|error| panic!("{url}: {error}")).to_string();
            let destination = read(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(destination.uri.to_string(), by_standard);
            assert_eq!(check(&destination.uri), Ok(()), "{url}");
        }
    }
    assert!(plain > 5_000, "{plain} were plain");
    assert!(is_plain(b"https://api.example.org:8443/v1/hooks/a.b?id=7&x=%2F"), "the usual URL");
    assert!(is_plain(b"http://127.0.0.1:8080/ok") && is_plain(b"http://h"));
    assert!(!is_plain(format!("http://{}/", "a".repeat(64)).as_bytes()), "no host has such a label");
}

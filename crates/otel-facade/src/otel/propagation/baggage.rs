//! `baggage`: W3C Baggage, §3. Its values are opaque: they are checked, and passed on unchanged.

/// §3.3.2: at least this is passed on. Members beyond are left out, from the end.
const MEMBERS_MAX: usize = 64;
const BYTES_MAX: usize = 8192;

/// The members that are passed on. `None` where one is not valid, or there is none.
pub(super) fn read(header: &str) -> Option<String> {
    let mut kept = String::new();
    let (mut count, mut full) = (0, false);
    for member in header.split(',').map(trimmed) {
        if member.is_empty() {
            continue;
        }
        if !valid_member(member) {
            return None;
        }
        full = full || count == MEMBERS_MAX || kept.len() + usize::from(count > 0) + member.len() > BYTES_MAX;
        if full {
            continue;
        }
        if count > 0 {
            kept.push(',');
        }
        kept.push_str(member);
        count += 1;
    }
    if count == 0 { None } else { Some(kept) }
}

/// `key=value`, and properties behind semicolons: `key` or `key=value`.
fn valid_member(member: &str) -> bool {
    let mut parts = member.split(';').map(trimmed);
    let is_pair = |part: &str| part.split_once('=').is_some_and(|(key, value)| valid(key, value));
    let is_pair_first = parts.next().is_some_and(is_pair);
    is_pair_first && parts.all(|part| is_pair(part) || is_token(part))
}

fn valid(key: &str, value: &str) -> bool {
    is_token(trimmed(key)) && trimmed(value).bytes().all(is_octet)
}

/// RFC 9110, §5.6.2
fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// §3.3.1.3: visible ASCII except `"`, `,`, `;` and `\`.
fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_go_on_as_they_came() {
        for good in ["a=1", "user=%C3%A9;private;ttl=3", "a=", "a = 1 ; b = 2", "k=v==,l=m"] {
            assert_eq!(read(good).as_deref(), Some(good));
        }
        assert_eq!(read(" a=1 ,\tb=2,").as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn what_is_not_valid_is_dropped_whole() {
        for wrong in
            ["", ",", "a", "=1", "a b=1", "a=b c", "a=\"1\"", "a=1;", "a=1;b c", "a=é", "a=1,b", "a=\\"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_much_is_left_out_from_the_end() {
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&many(64)), Some(many(64)));
        assert_eq!(read(&many(65)), Some(many(64)));
        let long = format!("a={}", "x".repeat(8190));
        assert_eq!(read(&long).map(|kept| kept.len()), Some(8192));
        assert_eq!(read(&format!("{long},b=1")), Some(long.clone()));
        assert_eq!(read(&format!("{long}y")), None, "nothing is left of it");
    }
}

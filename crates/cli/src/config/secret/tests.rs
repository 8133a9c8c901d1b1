//! Secrets in a configuration file, and the errors in them.

use postrider_worker::settings::ClientAuthentication;

use crate::config::Config;

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text).expect_err("it must be refused");
    problems.found.iter().map(|(line, text)| format!("{line}: {text}")).collect()
}

#[test]
fn secrets_come_from_files_and_variables_and_are_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let file = format!("{{ file = {:?} }}", path.to_str().unwrap());
    let text = format!(
        "[secrets.a]\nkeys = [{file}]\n[secrets.b]\nuser = \"me\"\npassword = {file}\nhosts = [\"a.test\"]\n\
         [secrets.c]\nheader = \"X-Key\"\nvalue = {{ env = \"PATH\" }}\nhosts = [\"*.b.test:81\"]\nallow_http = true\n"
    );
    let secrets = Config::parse(&text).unwrap().secrets;
    let [a, b, c] = [b"a", b"b", b"c"].map(|name| secrets.get(name).unwrap());
    assert_eq!((a.keys.len(), b.headers[0].0.as_str()), (1, "authorization"));
    assert!(c.allow_http && c.check(&"http://x.b.test:81/".parse().unwrap()).is_ok());
    assert!(!b.allow_http);
    assert_eq!(c.headers[0].0.as_str(), "x-key");
    for (wrong, part) in [
        ("keys = [\"whsec_hunter2\"]".to_owned(), "no secrets in this file"),
        ("bearer = \"hunter2\"".to_owned(), "no secrets in this file"),
        ("bearer = { file = \"/nowhere/hunter\" }".to_owned(), "cannot read"),
        ("bearer = { file = \"/\" }".to_owned(), "not a regular file"),
        ("bearer = { env = \"POSTRIDER_NO_SUCH\" }".to_owned(), "is not set"),
        ("bearer = { }".to_owned(), "either `file` or `env`"),
        (format!("bearer = {file}"), "`hosts` is missing"),
        (format!("bearer = {file}\nhosts = []"), "`hosts` is empty"),
        (format!("keys = [{file}]\nhosts = [\"http://a.test\"]"), "`hosts`: `http://a.test` is no host"),
        (format!("bearer = {file}\nuser = \"me\"\npassword = {file}"), "twice"),
        ("user = \"me\"".to_owned(), "both `user` and `password`"),
        (format!("cert = {file}"), "both `cert` and `key`"),
        (format!("cert = {file}\nkey = {file}"), "no certificate"),
        (format!("header = \"Host\"\nvalue = {file}"), "belongs to the connection"),
        (format!("header = \"transfer-encoding\"\nvalue = {file}"), "belongs to the connection"),
        (format!("header = \"x y\"\nvalue = {file}"), "`header`"),
        (format!("{OAUTH}\nclient_secret = \"hunter2\""), "no secrets in this file"),
        (OAUTH.to_owned(), "both `client_id` and `client_secret`"),
        (format!("client_id = \"me\"\nclient_secret = {file}"), "need `token_url`"),
        (format!("{OAUTH}\nclient_secret = {file}"), "`hosts` is missing"),
        (format!("{OAUTH}\nclient_secret = {file}\nbearer = {file}"), "twice"),
        (format!("{OAUTH}\nclient_secret = {file}\nscopes = [\"a b\"]"), "`scopes`: a scope is one word"),
        (format!("{OAUTH}\nclient_secret = {file}\nclient_auth = \"jwt\""), "`client_auth` must be"),
        (format!("{}\nclient_secret = {file}", OAUTH.replace("https", "http")), "`token_url` must be https"),
        (
            format!("{}\nclient_secret = {file}", OAUTH.replace("https://", "")),
            "`token_url` must be absolute",
        ),
        ("colour = 1".to_owned(), "not known"),
    ] {
        let found = problems(&format!("[secrets.x]\n{wrong}\n")).join("\n");
        assert!(found.contains(part) && !found.contains("hunter2"), "{wrong}: {found}");
    }
    assert!(problems("[secrets.x]\n")[0].contains("needs `keys`"));
}

/// Access tokens, without the client's secret.
const OAUTH: &str = "token_url = \"https://login.test/token\"\nclient_id = \"me\"";

#[test]
fn a_secret_can_be_access_tokens() {
    let text = format!(
        "[secrets.x]\nhosts = [\"a.test\"]\n{OAUTH}\nclient_secret = {{ env = \"PATH\" }}\nscopes = [\"a\", \"b\"]\n\
         audience = \"them\"\nclient_auth = \"body\"\n"
    );
    let tokens = Config::parse(&text).unwrap().secrets.tokens();
    let tokens = &tokens["x"];
    assert_eq!(tokens.token_url, "https://login.test/token");
    assert_eq!((tokens.scopes.join(","), tokens.audience.as_deref()), ("a,b".to_owned(), Some("them")));
    assert_eq!(tokens.authentication, ClientAuthentication::Body);
}

//! The file of tokens: names, scopes and hashes, never a token itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::Scope;

/// What each token begins with, so that tools that look for leaked secrets can find it.
const PREFIX: &str = "postrider_";
/// Random bytes of a token: nobody guesses them, so a fast hash suffices.
const TOKEN_BYTES: usize = 32;

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Debug)]
pub(super) struct Token {
    pub(super) name: Arc<str>,
    pub(super) scopes: Arc<[Scope]>,
    pub(super) sha256: [u8; 32],
}

/// The token file is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BadTokens {
    /// It is not TOML, or not in this form.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A hash is not one.
    #[error(
        "[tokens.{0}]: `sha256` must be 64 hexadecimal digits, as `postrider console token create` prints them"
    )]
    Hash(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tokens: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    scopes: Vec<Scope>,
    sha256: String,
}

impl Tokens {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the text of a file: for each token a table `[tokens.NAME]` with `scopes` and `sha256`.
    ///
    /// # Errors
    /// [`BadTokens`].
    pub fn parse(text: &str) -> Result<Self, BadTokens> {
        let File { tokens } = toml::from_str(text)?;
        let token = |(name, Entry { scopes, sha256 }): (String, Entry)| {
            let sha256 = unhex(&sha256).ok_or_else(|| BadTokens::Hash(name.clone()))?;
            Ok(Token { name: name.into(), scopes: scopes.into(), sha256 })
        };
        Ok(Self(tokens.into_iter().map(token).collect::<Result<_, BadTokens>>()?))
    }

    /// The entry of a token. Hashes are compared in constant time.
    pub(super) fn find(&self, token: &str) -> Option<&Token> {
        let hash = digest(&SHA256, token.as_bytes());
        self.0.iter().find(|known| bool::from(known.sha256.ct_eq(hash.as_ref())))
    }

    /// The entry of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Token> {
        self.0.iter().find(|known| &*known.name == name)
    }
}

/// A token that was just made.
#[derive(Debug)]
pub struct NewToken {
    /// What the caller sends. It is shown once, and kept nowhere.
    pub token: String,
    /// The table for the token file.
    pub entry: String,
}

impl NewToken {
    /// Makes a token of 256 random bits.
    ///
    /// # Panics
    /// If the system has no source of random numbers.
    pub fn generate(name: &str, scopes: &[Scope]) -> Self {
        let mut random = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut random).expect("the system has random numbers");
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let sha256: String =
            digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("{:?}", scope.as_str())).collect();
        let entry = format!("[tokens.{name:?}]\nscopes = [{}]\nsha256 = \"{sha256}\"\n", scopes.join(", "));
        Self { token, entry }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_found_by_its_entry() {
        let (first, second) = (
            NewToken::generate("ci", &[Scope::Read, Scope::Enqueue]),
            NewToken::generate("web shop", &[Scope::Operate]),
        );
        assert_ne!(first.token, second.token);
        let file = format!("{}\n{}", first.entry, second.entry);
        assert!(!file.contains(&first.token));
        let tokens = Tokens::parse(&file).unwrap();
        let found = tokens.find(&first.token).unwrap();
        assert_eq!((&*found.name, &*found.scopes), ("ci", &[Scope::Read, Scope::Enqueue][..]));
        assert_eq!(&*tokens.find(&second.token).unwrap().name, "web shop");
        assert_eq!(tokens.named("ci").unwrap().sha256, found.sha256);
        assert!(tokens.find("").is_none() && tokens.find(&first.token[1..]).is_none());
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let refused = |text: &str, part: &str| {
            let error = Tokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("[tokens.a]\nscopes = [\"read\"]\nsha256 = \"ab\"", "[tokens.a]: `sha256`");
        refused("[tokens.a]\nscopes = [\"write\"]\nsha256 = \"\"", "unknown variant `write`");
        refused("[token.a]\nscopes = []", "unknown field `token`");
        refused(&format!("[tokens.a]\nscopes = []\nsha256 = \"{}\"", "é".repeat(32)), "hexadecimal");
    }
}

//! API tokens: `bst_<id>_<secret>`.
//!
//! The id (16 lower-case hex digits) finds the record; the secret (32 random bytes, base64url) is kept only as its SHA-256 and compared in constant
//! time. The secret has 256 bits, so a slow password hash would add nothing.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bootsplice_store::{Document, Page, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::{Namespace, Tenant, Verb};
use crate::clock::{Clock, Entropy};

const PREFIX: &str = "bst_";
const ID_DIGITS: usize = 16;
const SECRET_TEXT: usize = 43;

/// A token as it is stored: everything but its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    pub id: String,
    pub tenant: Tenant,
    /// What it is for, for people.
    pub label: String,
    pub verbs: Vec<Verb>,
    /// Where it may push plugins, with the verb `plugins:write`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<OffsetDateTime>,
    /// SHA-256 of the secret part.
    hash: String,
}

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub tenant: Tenant,
    pub label: String,
    pub verbs: Vec<Verb>,
    pub namespaces: Vec<Namespace>,
    pub expires: Option<OffsetDateTime>,
}

/// The whole text of a token. It is shown once, to whoever made the token, and never logged.
#[derive(Clone)]
pub struct Secret(String);

/// All tokens of a host.
#[derive(Clone, Debug)]
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

// === impl Token ===

impl Document for Token {
    const KIND: &'static str = "token";
}

impl Token {
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&Verb::Admin) || self.verbs.contains(&verb)
    }

    fn key(id: &str) -> String {
        format!("token/{id}")
    }
}

// === impl Secret ===

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl Tokens ===

impl Tokens {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            store,
            clock,
            entropy,
        }
    }

    /// Makes a token. Its secret is in the answer and nowhere else.
    pub async fn create(&self, new: NewToken) -> Result<(Token, Secret), StoreError> {
        let id = hex::encode(self.entropy.array::<{ ID_DIGITS / 2 }>());
        let secret = URL_SAFE_NO_PAD.encode(self.entropy.array::<32>());
        let token = Token {
            id: id.clone(),
            tenant: new.tenant,
            label: new.label,
            verbs: new.verbs,
            namespaces: new.namespaces,
            created: self.clock.now(),
            expires: new.expires,
            hash: hash(&secret),
        };
        let key = Token::key(&id);
        self.store
            .transact(Transaction::new().absent(&key).put(&key, token.encode()))
            .await?;
        Ok((token, Secret(format!("{PREFIX}{id}_{secret}"))))
    }

    /// The token that `text` is, when it is one, unrevoked and unexpired. Why not is nobody's business.
    pub async fn authenticate(&self, text: &str) -> Result<Option<Token>, StoreError> {
        let Some((id, secret)) = split(text) else {
            return Ok(None);
        };
        let Some(token) = self.get(id).await? else {
            return Ok(None);
        };
        let same: bool = hash(secret).as_bytes().ct_eq(token.hash.as_bytes()).into();
        let live = token.expires.is_none_or(|end| self.clock.now() < end);
        Ok((same && live).then_some(token))
    }

    pub async fn get(&self, id: &str) -> Result<Option<Token>, StoreError> {
        let record = self.store.get(&Token::key(id)).await?;
        record.as_ref().map(Token::decode).transpose()
    }

    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Token>, bool), StoreError> {
        let after = after.map(Token::key);
        let Page { records, more } = self.store.list("token/", after.as_deref(), limit).await?;
        let tokens: Result<_, _> = records.iter().map(Token::decode).collect();
        Ok((tokens?, more))
    }

    /// Ends a token at once. False when there is none.
    pub async fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let key = Token::key(id);
        let gone = Transaction::new().present(&key).delete(&key);
        match self.store.transact(gone).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let good = id.len() == ID_DIGITS
        && id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && secret.len() == SECRET_TEXT;
    good.then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bootsplice_store::MemoryStore;

    use super::*;
    use crate::clock::{ManualClock, SystemEntropy};

    fn tokens() -> (Tokens, ManualClock, Arc<MemoryStore>) {
        let clock = ManualClock::at(OffsetDateTime::UNIX_EPOCH);
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::new(
            store.clone(),
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
        );
        (tokens, clock, store)
    }

    fn wanted(clock: &ManualClock) -> NewToken {
        NewToken {
            tenant: "acme".parse().unwrap(),
            label: "ci".into(),
            verbs: vec![Verb::ProfilesRead],
            namespaces: Vec::new(),
            expires: Some(clock.now() + Duration::from_secs(60)),
        }
    }

    #[tokio::test]
    async fn a_token_works_until_it_expires_or_is_revoked() {
        let (tokens, clock, _) = tokens();
        let (token, secret) = tokens.create(wanted(&clock)).await.unwrap();
        let found = tokens.authenticate(secret.reveal()).await.unwrap().unwrap();
        assert_eq!(found.id, token.id);
        assert!(found.allows(Verb::ProfilesRead) && !found.allows(Verb::ProfilesWrite));
        clock.advance(Duration::from_secs(60));
        assert!(
            tokens
                .authenticate(secret.reveal())
                .await
                .unwrap()
                .is_none()
        );
        let forever = NewToken {
            expires: None,
            ..wanted(&clock)
        };
        let (token, secret) = tokens.create(forever).await.unwrap();
        assert!(tokens.revoke(&token.id).await.unwrap());
        assert!(!tokens.revoke(&token.id).await.unwrap());
        assert!(
            tokens
                .authenticate(secret.reveal())
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn no_changed_character_of_a_token_is_accepted() {
        let (tokens, clock, _) = tokens();
        let (_, secret) = tokens.create(wanted(&clock)).await.unwrap();
        let text = secret.reveal();
        for at in 0..text.len() {
            let mut bad = text.as_bytes().to_vec();
            bad[at] = if bad[at] == b'a' { b'b' } else { b'a' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(tokens.authenticate(&bad).await.unwrap().is_none(), "{at}");
            assert!(tokens.authenticate(&text[..at]).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn the_store_never_holds_a_tokens_secret() {
        let (tokens, clock, store) = tokens();
        let (_, secret) = tokens.create(wanted(&clock)).await.unwrap();
        let (_, part) = split(secret.reveal()).unwrap();
        for record in store.list("", None, 100).await.unwrap().records {
            let text = std::str::from_utf8(&record.value).unwrap();
            assert!(!text.contains(part));
        }
        assert!(!format!("{secret:?}").contains(part));
    }
}

//! Who may do what at `/v2/`: API tokens, with the verbs for plugins, in the namespaces that they may push to and their tenant may see.

use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_registry::gate::token_of;
use bootsplice_registry::{Action, Caller, Decision, Gate, GateError, Repository};

use crate::auth::{self, Namespace, Tokens, Verb};
use crate::plugins::namespaces::Namespaces;

/// Knows the host's tokens.
#[derive(Debug)]
pub(super) struct Door {
    tokens: Tokens,
    namespaces: Namespaces,
}

#[derive(Debug)]
struct Bearer {
    known: auth::Caller,
    namespaces: Namespaces,
}

// === impl Door ===

impl Door {
    pub(super) fn new(tokens: Tokens, namespaces: Namespaces) -> Self {
        Self { tokens, namespaces }
    }
}

#[async_trait]
impl Gate for Door {
    async fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Arc<dyn Caller>, GateError> {
        let text = authorization.and_then(token_of).ok_or_else(|| {
            GateError::Unauthenticated(
                "send an API token as the password of `Basic`, with any user name, or as `Bearer`"
                    .to_owned(),
            )
        })?;
        let found = self.tokens.authenticate(&text).await;
        let found = found.map_err(|error| GateError::Unavailable(error.to_string()))?;
        let token = found.ok_or_else(|| {
            GateError::Unauthenticated("the token is unknown, revoked or expired".to_owned())
        })?;
        let span = tracing::Span::current();
        span.record("tenant", token.tenant.as_str());
        span.record("token", &*token.id);
        Ok(Arc::new(Bearer {
            known: token.into(),
            namespaces: self.namespaces.clone(),
        }))
    }
}

// === impl Bearer ===

#[async_trait]
impl Caller for Bearer {
    fn tenant(&self) -> &str {
        self.known.tenant.as_str()
    }

    fn token(&self) -> &str {
        &self.known.token
    }

    async fn allow(&self, repository: &Repository, action: Action) -> Result<Decision, GateError> {
        let verb = match action {
            Action::Pull => Verb::PluginsRead,
            Action::Push | Action::Delete => Verb::PluginsWrite,
        };
        let namespace = repository.namespace().parse::<Namespace>();
        let pushes = match &namespace {
            Ok(namespace) => self.known.may_push_to(namespace),
            Err(_) => self.known.is_admin(),
        };
        let allowed = self.known.allows(verb);
        // Clients look whether a blob is there before they send it, so who may push may look.
        if pushes && (allowed || self.known.allows(Verb::PluginsWrite)) {
            return Ok(Decision::Allow);
        }
        if !allowed {
            let id = &self.known.token;
            return Ok(Decision::Deny(format!(
                "the token `{id}` lacks the verb `{verb}`"
            )));
        }
        if action != Action::Pull {
            return Ok(Decision::Deny(format!(
                "the token `{}` may not push to `{repository}`: it is for other namespaces",
                self.known.token
            )));
        }
        let seen = match &namespace {
            Ok(namespace) => self.namespaces.sees(&self.known.tenant, namespace).await,
            Err(_) => Ok(false),
        };
        match seen {
            Ok(true) => Ok(Decision::Allow),
            Ok(false) => Ok(Decision::Hide),
            Err(error) => Err(GateError::Unavailable(error.to_string())),
        }
    }
}

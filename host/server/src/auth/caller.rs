//! From a request's header to a [`Caller`].

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Namespace, Tenant, Token, Verb};
use crate::app::AppState;
use crate::problem::{Kind, Problem};
use crate::route::Access;

/// Who makes this request. A handler that takes one runs only for valid tokens with the route's verb.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: Tenant,
    /// The token's id, for logs and records.
    pub token: String,
    verbs: Vec<Verb>,
    namespaces: Vec<Namespace>,
}

// === impl Caller ===

impl Caller {
    pub fn is_admin(&self) -> bool {
        self.verbs.contains(&Verb::Admin)
    }

    pub fn allows(&self, verb: Verb) -> bool {
        self.is_admin() || self.verbs.contains(&verb)
    }

    /// Whether the token was made for pushing into `namespace`. Whose that is, is another question.
    pub fn may_push_to(&self, namespace: &Namespace) -> bool {
        let named = self.namespaces.contains(namespace);
        self.is_admin() || (self.allows(Verb::PluginsWrite) && named)
    }
}

impl From<Token> for Caller {
    fn from(token: Token) -> Self {
        Self {
            tenant: token.tenant,
            token: token.id,
            verbs: token.verbs,
            namespaces: token.namespaces,
        }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        // Absent only where a route says `Access::Open` and its handler asks for a caller all the same.
        parts.extensions.get().cloned().ok_or_else(unauthenticated)
    }
}

/// Guards one route: no valid token 401, a token without the verb 403.
pub async fn authorise(
    State((app, access)): State<(AppState, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let verb = match access {
        Access::Open | Access::Handler => return next.run(request).await,
        Access::Token => None,
        Access::Verb(verb) => Some(verb),
    };
    // Taken out first: a borrowed body would make this future unfit to be sent between threads.
    let given = credentials(&request).map(str::to_owned);
    let token = match authenticate(&app, given.as_deref()).await {
        Ok(token) => token,
        Err(problem) => return problem.into_response(),
    };
    let span = tracing::Span::current();
    span.record("tenant", token.tenant.as_str());
    span.record("token", &*token.id);
    if let Some(verb) = verb
        && !token.allows(verb)
    {
        let detail = format!("the token `{}` lacks the verb `{verb}`", token.id);
        return Problem::new(Kind::Forbidden, detail).into_response();
    }
    request.extensions_mut().insert(Caller::from(token));
    next.run(request).await
}

async fn authenticate(app: &AppState, given: Option<&str>) -> Result<Token, Problem> {
    let text = given.ok_or_else(unauthenticated)?;
    let found = app.tokens.authenticate(text).await?;
    found.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "the token is unknown, revoked or expired",
        )
    })
}

fn credentials(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?;
    bearer(value.to_str().ok()?)
}

/// The credentials of the scheme `Bearer` (RFC 6750), whatever its case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, credentials) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| credentials.trim())
}

fn unauthenticated() -> Problem {
    Problem::new(
        Kind::Unauthenticated,
        "send `Authorization: Bearer <token>`; `bootsplice token create` makes one",
    )
}

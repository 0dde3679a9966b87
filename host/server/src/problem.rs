//! Every error answer: RFC 9457 problem details.
//!
//! A handler returns [`Problem`]; the outermost layer ([`crate::http`]) adds the request's id and turns whatever else went wrong on the way (an unknown
//! path, a body that is too large, a panic) into a problem too.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bootsplice_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the kinds of problems are explained.
pub const BASE: &str = "https://bootsplice.github.io/problems/";

/// An error answer in the making.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: Kind,
    /// What happened this time, with the values concerned.
    pub detail: String,
    pub faults: Vec<Fault>,
    pub retry_after: Option<Duration>,
}

/// The body of an error answer, `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A URI that names the kind of problem. Clients decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    pub status: u16,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Every fault of the request's document, when that is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The request's id, as in the host's log and the header `x-request-id`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the document; empty for the whole.
    pub pointer: String,
    /// Stable, kebab-case.
    pub code: String,
    pub detail: String,
    /// What to do, when there is something to suggest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kinds of problems. Each has one status, one name in `type`, and one title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    InvalidJson,
    InvalidRequest,
    InvalidProfile,
    Unauthenticated,
    Forbidden,
    NotFound,
    Gone,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    IdempotencyConflict,
    TargetLeased,
    DigestMismatch,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    CapacityExceeded,
    UntrustedBase,
    PlanRefused,
    TooManyRequests,
    Timeout,
    Internal,
    Upstream,
    Unavailable,
}

// === impl Kind ===

impl Kind {
    /// All of them, for the reference.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::InvalidProfile,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Gone,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::IdempotencyConflict,
        Self::TargetLeased,
        Self::DigestMismatch,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::CapacityExceeded,
        Self::UntrustedBase,
        Self::PlanRefused,
        Self::TooManyRequests,
        Self::Timeout,
        Self::Internal,
        Self::Upstream,
        Self::Unavailable,
    ];

    /// Status, name, title.
    pub const fn describe(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "The request is malformed"),
            Self::InvalidJson => (
                S::BAD_REQUEST,
                "invalid-json",
                "The body is not the JSON that was expected",
            ),
            Self::InvalidRequest => (
                S::UNPROCESSABLE_ENTITY,
                "invalid-request",
                "The request is not valid",
            ),
            Self::InvalidProfile => (
                S::UNPROCESSABLE_ENTITY,
                "invalid-profile",
                "The profile is not valid",
            ),
            Self::Unauthenticated => (
                S::UNAUTHORIZED,
                "unauthenticated",
                "A valid token is needed",
            ),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "The token does not allow this"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is no such thing"),
            Self::Gone => (S::GONE, "gone", "This was here and is kept no longer"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This path does not take that method",
            ),
            Self::NotAcceptable => (
                S::NOT_ACCEPTABLE,
                "not-acceptable",
                "The answer cannot be given in that form",
            ),
            Self::Conflict => (
                S::CONFLICT,
                "conflict",
                "It is not in the state that this needs",
            ),
            Self::IdempotencyConflict => (
                S::CONFLICT,
                "idempotency-conflict",
                "The idempotency key was used for another request",
            ),
            Self::TargetLeased => (
                S::CONFLICT,
                "target-leased",
                "Another launch holds the target",
            ),
            Self::DigestMismatch => (
                S::CONFLICT,
                "digest-mismatch",
                "The digest is not that of the volume",
            ),
            Self::PreconditionFailed => (
                S::PRECONDITION_FAILED,
                "precondition-failed",
                "It was changed meanwhile",
            ),
            Self::PayloadTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "payload-too-large",
                "The body is too large",
            ),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body has another media type than expected",
            ),
            Self::RangeNotSatisfiable => (
                S::RANGE_NOT_SATISFIABLE,
                "range-not-satisfiable",
                "The range lies outside the volume",
            ),
            Self::CapacityExceeded => (
                S::UNPROCESSABLE_ENTITY,
                "capacity-exceeded",
                "The content does not fit its insertion point",
            ),
            Self::UntrustedBase => (
                S::UNPROCESSABLE_ENTITY,
                "untrusted-base",
                "The base volume trusts none of this host's keys",
            ),
            Self::PlanRefused => (
                S::UNPROCESSABLE_ENTITY,
                "plan-refused",
                "The launch cannot be planned",
            ),
            Self::TooManyRequests => (
                S::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too much at once",
            ),
            Self::Timeout => (S::REQUEST_TIMEOUT, "timeout", "The request took too long"),
            Self::Internal => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "The host made a mistake",
            ),
            Self::Upstream => (
                S::BAD_GATEWAY,
                "upstream",
                "Something that the host depends on failed",
            ),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "Not now"),
        }
    }

    pub const fn status(self) -> StatusCode {
        self.describe().0
    }

    pub const fn slug(self) -> &'static str {
        self.describe().1
    }

    /// The kind for a status that some layer answered without a problem of its own.
    pub fn of_status(status: StatusCode) -> Self {
        let plain = |kind: &&Self| kind.status() == status;
        match status {
            StatusCode::UNPROCESSABLE_ENTITY => Self::InvalidRequest,
            StatusCode::CONFLICT => Self::Conflict,
            _ if status.is_server_error() => Self::ALL
                .iter()
                .find(plain)
                .copied()
                .unwrap_or(Self::Internal),
            _ => Self::ALL
                .iter()
                .find(plain)
                .copied()
                .unwrap_or(Self::BadRequest),
        }
    }
}

// === impl Fault ===

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

// === impl Problem ===

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            retry_after: None,
        }
    }

    /// Also for what belongs to another tenant: whether it exists is nobody's business.
    /// All of it in one line: for records and logs, where no client reads fields.
    pub fn text(&self) -> String {
        let faults = self
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.detail));
        let parts: Vec<_> = [self.detail.clone()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .chain(faults)
            .collect();
        parts.join("; ")
    }

    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} `{name}`"))
    }

    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The body, for a request with this id.
    pub fn body(&self, request: &str) -> ProblemBody {
        let (status, slug, title) = self.kind.describe();
        ProblemBody {
            kind: format!("{BASE}{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            errors: self.faults.clone(),
            request: request.to_owned(),
        }
    }

    /// The whole answer, for a request with this id.
    pub fn respond(&self, request: &str) -> Response {
        let body = serde_json::to_vec(&self.body(request)).unwrap_or_default();
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            // At least one second: zero invites a stampede.
            headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"bootsplice\""),
            );
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond("");
        // The outermost layer renders it again with the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. } => Self::new(
                Kind::Conflict,
                "somebody else changed it at the same moment: read it again",
            ),
            StoreError::Invalid(why) => Self::new(Kind::BadRequest, why.clone()),
            StoreError::Unavailable(_) | StoreError::InUse { .. } => {
                tracing::error!(%error, "the store is unavailable");
                Self::new(Kind::Unavailable, "the record store does not answer")
                    .retry_after(Duration::from_secs(5))
            }
            StoreError::Newer { .. } | StoreError::Damaged { .. } => {
                tracing::error!(%error, "a record cannot be read");
                Self::new(Kind::Internal, error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_problem_of_the_design_is_rendered_as_it_stands_there() {
        let problem = Problem::new(Kind::InvalidProfile, "").with_faults(vec![
            Fault::new(
                "/steps/0/with/packages/1",
                "unknown-package",
                "no package 'postgresq' in bookworm",
            )
            .hint("did you mean 'postgresql'?"),
        ]);
        assert_eq!(problem.kind.status(), 422);
        let body = serde_json::to_value(problem.body("")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": format!("{BASE}invalid-profile"),
                "title": "The profile is not valid",
                "status": 422,
                "errors": [{
                    "pointer": "/steps/0/with/packages/1",
                    "code": "unknown-package",
                    "detail": "no package 'postgresq' in bookworm",
                    "hint": "did you mean 'postgresql'?"
                }]
            })
        );
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_an_error_status() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
        assert_eq!(Kind::of_status(StatusCode::IM_A_TEAPOT), Kind::BadRequest);
        assert_eq!(Kind::of_status(StatusCode::LOOP_DETECTED), Kind::Internal);
    }
}

//! Entity tags and preconditions (RFC 9110 sections 8.8.3 and 13): a record's version is its strong ETag.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bootsplice_store::Version;

use crate::app::AppState;
use crate::problem::{Kind, Problem};

/// `If-Match` and `If-None-Match` of a request.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    matches: Option<Tags>,
    none_matches: Option<Tags>,
}

#[derive(Clone, Debug)]
enum Tags {
    Any,
    List(Vec<String>),
}

/// The ETag of a record.
pub fn etag(version: Version) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits and quotes are a header value")
}

// === impl Preconditions ===

impl Preconditions {
    /// Whether a change may happen to what is there now.
    pub fn allow(&self, current: Option<Version>) -> bool {
        let tag = current.map(|version| version.to_string());
        let matched = |tags: &Tags| match (tags, &tag) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::List(list), Some(tag)) => list.contains(tag),
        };
        self.matches.as_ref().is_none_or(matched)
            && !self.none_matches.as_ref().is_some_and(matched)
    }

    /// Judges a read: 412, 304, or nothing.
    #[expect(
        clippy::result_large_err,
        reason = "the answer goes straight to the client, once a request"
    )]
    pub fn judge_read(&self, version: Version) -> Result<(), Response> {
        let tag = version.to_string();
        let matched = |tags: &Tags| match tags {
            Tags::Any => true,
            Tags::List(list) => list.contains(&tag),
        };
        if self.matches.as_ref().is_some_and(|tags| !matched(tags)) {
            return Err(Problem::new(Kind::PreconditionFailed, "").into_response());
        }
        if self.none_matches.as_ref().is_some_and(matched) {
            let headers = [(header::ETAG, etag(version))];
            return Err((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Ok(())
    }
}

impl FromRequestParts<AppState> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let tags = |name: header::HeaderName| -> Result<Option<Tags>, Problem> {
            let mut list = Vec::new();
            for value in parts.headers.get_all(&name) {
                let text = value.to_str().unwrap_or_default().trim();
                if text == "*" {
                    return Ok(Some(Tags::Any));
                }
                for part in text.split(',') {
                    let part = part.trim();
                    let part = part.strip_prefix("W/").unwrap_or(part);
                    let inner = part
                        .strip_prefix('"')
                        .and_then(|rest| rest.strip_suffix('"'));
                    let inner = inner.ok_or_else(|| {
                        let shown: String = text.chars().take(80).collect();
                        let detail =
                            format!("`{name}: {shown}` is not a list of quoted ETags or `*`");
                        Problem::new(Kind::BadRequest, detail)
                    })?;
                    list.push(inner.to_owned());
                }
            }
            Ok((!list.is_empty()).then_some(Tags::List(list)))
        };
        Ok(Self {
            matches: tags(header::IF_MATCH)?,
            none_matches: tags(header::IF_NONE_MATCH)?,
        })
    }
}

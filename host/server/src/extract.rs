//! Bodies and queries whose faults are answered as problems.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::AppState;
use crate::problem::{Fault, Kind, Problem};

/// A JSON body. Its first fault is answered with a JSON Pointer.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// A JSON body together with its bytes, for requests whose digest matters.
#[derive(Clone, Debug)]
pub struct JsonWithBytes<T>(pub T, pub Bytes);

/// The parameters after `?`. Unknown ones are refused when `T` refuses unknown fields.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

// === impl Json ===

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let JsonWithBytes(value, _) = JsonWithBytes::from_request(request, app).await?;
        Ok(Self(value))
    }
}

// === impl JsonWithBytes ===

impl<T: DeserializeOwned> FromRequest<AppState> for JsonWithBytes<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE);
        let essence = media_type
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim());
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            let detail = match essence {
                Some(other) => format!("send `Content-Type: application/json`, not `{other}`"),
                None => "send `Content-Type: application/json`".to_owned(),
            };
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|rejection| {
                Problem::new(Kind::of_status(rejection.status()), rejection.body_text())
            })?;
        let value = parse(&bytes)?;
        Ok(Self(value, bytes))
    }
}

/// Reads JSON, answering the first fault with its pointer.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.inner();
        if inner.is_data() {
            let detail = inner.to_string();
            let fault = Fault::new(pointer, "invalid-value", without_position(&detail));
            Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault])
        } else {
            Problem::new(Kind::InvalidJson, inner.to_string())
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::new(Kind::InvalidJson, error.to_string()))?;
    Ok(value)
}

/// serde's path as a JSON Pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// One segment of a JSON Pointer (RFC 6901 section 3).
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// serde_json ends its messages with a line and column, which the pointer says better.
fn without_position(detail: &str) -> &str {
    detail.split(" at line ").next().unwrap_or(detail)
}

// === impl Query ===

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        axum::extract::Query::from_request_parts(parts, app)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "a/b")]
        inner: Vec<u8>,
    }

    #[test]
    fn a_fault_is_answered_with_its_json_pointer() {
        let problem = parse::<Outer>(br#"{"a/b": [1, "x"]}"#).unwrap_err();
        assert_eq!(problem.faults[0].pointer, "/a~1b/1");
        assert!(!problem.faults[0].detail.contains("line"));
        let unknown = parse::<Outer>(br#"{"a/b": [], "c": 1}"#).unwrap_err();
        assert!(unknown.faults[0].detail.contains("`c`"));
        assert_eq!(parse::<Outer>(b"{").unwrap_err().kind, Kind::InvalidJson);
        assert_eq!(
            parse::<Outer>(br#"{"a/b": []} x"#).unwrap_err().kind,
            Kind::InvalidJson
        );
        assert_eq!(parse::<Outer>(br#"{"a/b": [7]}"#).unwrap().inner, [7]);
    }
}

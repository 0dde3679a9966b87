//! Answers: the specification's headers and its form of errors.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::digest::ContentDigest;
use crate::error::RegistryError;
use crate::name::NameKind;

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
pub(super) const OCI_FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Sets a field. A value that HTTP cannot carry is left out; names and digests all can be.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode, fields: &[(HeaderName, &str)]) -> Response {
    let mut response = status.into_response();
    for (name, value) in fields {
        set(response.headers_mut(), name.clone(), value);
    }
    response
}

pub(super) fn etag(digest: &ContentDigest) -> String {
    format!("\"{digest}\"")
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let (status, code) = self.on_the_wire();
        let mut message = self.to_string();
        if status.is_server_error() {
            tracing::error!(error = message, "the registry failed");
            // What failed where is the host's business.
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                message = "a fault of the host's own; its log has the details".to_owned();
            }
        }
        let errors = match &self {
            Self::ReferencesUnknown { digests, .. } => digests
                .iter()
                .take(100)
                .map(|digest| json!({"code": code, "message": format!("{message}: {digest}"), "detail": {"digest": digest}}))
                .collect(),
            Self::ManifestInvalid { detail, .. } if *detail != Value::Null => {
                vec![json!({"code": code, "message": message, "detail": detail})]
            }
            _ => vec![json!({"code": code, "message": message})],
        };
        let mut response = (status, Json(json!({"errors": errors}))).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Unauthenticated(_) => set(
                headers,
                header::WWW_AUTHENTICATE,
                "Basic realm=\"bootsplice\", charset=\"UTF-8\"",
            ),
            Self::Method { allow } => set(headers, header::ALLOW, allow),
            Self::Range { size } => set(headers, header::CONTENT_RANGE, &format!("bytes */{size}")),
            Self::OutOfOrder { offset, .. } => {
                set(
                    headers,
                    header::RANGE,
                    &format!("0-{}", offset.saturating_sub(1)),
                );
            }
            Self::TooMany(_) | Self::Unavailable(_) => set(headers, header::RETRY_AFTER, "10"),
            _ => {}
        }
        response
    }
}

impl RegistryError {
    /// Status, and the code of the specification's table.
    fn on_the_wire(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "DENIED"),
            Self::InUse(_) => (StatusCode::METHOD_NOT_ALLOWED, "DENIED"),
            Self::Name(error) => match error.kind() {
                NameKind::Repository => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
                NameKind::Tag => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
                NameKind::Digest | NameKind::Algorithm => {
                    (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
                }
            },
            Self::RepositoryUnknown(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::BlobUnknown { .. } => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::ReferencesUnknown { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::ManifestInvalid { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::UploadInvalid(_) | Self::Body(_) => {
                (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID")
            }
            Self::SizeInvalid(_) => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Self::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED"),
            Self::Unsupported(_) => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN"),
            Self::Damaged(_) | Self::Records(_) | Self::Objects(_) | Self::Disk(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")
            }
        }
    }
}

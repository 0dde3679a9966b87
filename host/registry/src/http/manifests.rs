//! end-3, end-7, end-9: manifests.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;

use super::Call;
use super::answer::{CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, empty, etag, set};
use super::blobs::matches;
use crate::error::{RegistryError, Result};
use crate::name::{Reference, Repository, Tag};
use crate::push::{Push, closed};

/// Most tags in one request.
const MOST_TAGS: usize = 32;

impl Call {
    pub(super) async fn manifest(
        self,
        repository: Repository,
        reference: Reference,
    ) -> Result<Response> {
        let (digest, kept) = self.inner.kept(&repository, &reference).await?;
        let tag = etag(&digest);
        if matches(&self.headers, &tag) {
            return Ok(empty(StatusCode::NOT_MODIFIED, &[(header::ETAG, &tag)]));
        }
        let body = if self.head {
            Body::empty()
        } else {
            Body::from(self.inner.objects.whole(&digest, kept.size).await?)
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        set(headers, header::CONTENT_TYPE, &kept.media_type);
        set(headers, header::CONTENT_LENGTH, &kept.size.to_string());
        set(headers, header::ETAG, &tag);
        set(headers, CONTENT_DIGEST, &digest.to_string());
        Ok(response)
    }

    pub(super) async fn push(
        self,
        repository: Repository,
        reference: Reference,
        body: Body,
    ) -> Result<Response> {
        let tags: Vec<Tag> = match &reference {
            Reference::Tag(_) => Vec::new(),
            Reference::Digest(_) => {
                let tags: Result<_, _> = self.query.all("tag").map(str::parse).collect();
                tags?
            }
        };
        if tags.len() > MOST_TAGS {
            return Err(RegistryError::manifest(format!(
                "{} tags in one request; at most {MOST_TAGS} are allowed",
                tags.len()
            )));
        }
        let content_type = self.headers.get(header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let _permit = self.inner.manifests.acquire().await.map_err(closed)?;
        let bytes = received(body, self.inner.limits.manifest, self.inner.limits.silence).await?;
        let push = Push {
            caller: self.caller.clone(),
            repository: repository.clone(),
            reference,
            tags: tags.clone(),
            content_type,
            bytes,
        };
        let pushed = self.inner.push(push).await?;
        let location = format!("/v2/{repository}/manifests/{}", pushed.digest);
        let digest = pushed.digest.to_string();
        let fields = [(header::LOCATION, &*location), (CONTENT_DIGEST, &*digest)];
        let mut response = empty(StatusCode::CREATED, &fields);
        if let Some(subject) = &pushed.subject {
            set(response.headers_mut(), OCI_SUBJECT, &subject.to_string());
        }
        for tag in &tags {
            if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
                response.headers_mut().append(OCI_TAG, value);
            }
        }
        Ok(response)
    }

    pub(super) async fn delete_manifest(
        self,
        repository: Repository,
        reference: Reference,
    ) -> Result<Response> {
        self.inner.delete_manifest(&repository, &reference).await?;
        Ok(empty(StatusCode::ACCEPTED, &[]))
    }
}

/// A whole body of at most `limit` bytes.
async fn received(body: Body, limit: u64, silence: std::time::Duration) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(silence, pieces.next()).await;
        let next = next.map_err(|_| {
            RegistryError::Body(format!("nothing came for {} s", silence.as_secs()))
        })?;
        let Some(piece) = next else {
            return Ok(bytes.into());
        };
        let piece = piece.map_err(|error| RegistryError::Body(error.to_string()))?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(RegistryError::TooLarge {
                what: "a manifest",
                limit,
            });
        }
        bytes.extend_from_slice(&piece);
    }
}

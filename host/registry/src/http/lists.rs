//! end-8, end-12: tags, and manifests that refer to another.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bootsplice_store::Document as _;
use serde_json::json;

use super::Call;
use super::answer::{OCI_FILTERS, set};
use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::manifest::{OCI_INDEX, Referrer};
use crate::name::Repository;
use crate::records::{self, Kept, Referring};

/// Most tags in one answer.
const MOST_TAGS: usize = 1000;
/// Most referrers in one answer, and most bytes of manifests that are read for it.
const MOST_REFERRERS: usize = 100;
const MOST_BYTES: u64 = 4 << 20;

impl Call {
    pub(super) async fn tags(self, repository: Repository) -> Result<Response> {
        self.inner.must_exist(&repository).await?;
        let wanted = match self.query.get("n") {
            None => None,
            Some(text) => Some(text.parse::<usize>().map_err(|_| {
                let text: String = text.chars().take(40).collect();
                RegistryError::UploadInvalid(format!("`n` is `{text}`, expected a number"))
            })?),
        };
        let prefix = records::tags_prefix(&repository);
        let last = self.query.get("last").filter(|last| !last.is_empty());
        let after = last.map(|last| records::tag_key(&repository, last));
        let limit = wanted.unwrap_or(MOST_TAGS).min(MOST_TAGS);
        let (found, more) = match limit {
            0 => (Vec::new(), false),
            _ => {
                self.inner
                    .records
                    .page(&prefix, after.as_deref(), limit)
                    .await?
            }
        };
        let tags: Vec<&str> = found
            .iter()
            .map(|record| records::tail(&record.key))
            .collect();
        let next = tags.last().filter(|_| more).map(|last| {
            format!("</v2/{repository}/tags/list?n={limit}&last={last}>; rel=\"next\"")
        });
        let mut response = Json(json!({"name": repository, "tags": tags})).into_response();
        if let Some(next) = next {
            set(response.headers_mut(), header::LINK, &next);
        }
        Ok(response)
    }

    pub(super) async fn referrers(
        self,
        repository: Repository,
        subject: ContentDigest,
    ) -> Result<Response> {
        let wanted = self
            .query
            .get("artifactType")
            .filter(|wanted| !wanted.is_empty());
        let prefix = records::referrers_prefix(&repository, &subject);
        let mut after = self.query.get("last").map(|last| format!("{prefix}{last}"));
        let (mut referrers, mut bytes, mut next) = (Vec::new(), 0, None);
        'pages: loop {
            let page = self
                .inner
                .records
                .page(&prefix, after.as_deref(), 500)
                .await?;
            let (found, more) = page;
            for record in &found {
                if referrers.len() >= MOST_REFERRERS || bytes >= MOST_BYTES {
                    next = after.as_deref().map(|key| records::tail(key).to_owned());
                    break 'pages;
                }
                let referring = Referring::decode(record)?;
                let digest = records::tail(&record.key).parse::<ContentDigest>()?;
                after = Some(record.key.clone());
                if wanted.is_some_and(|wanted| referring.artifact_type.as_deref() != Some(wanted)) {
                    continue;
                }
                let key = records::manifest_key(&repository, &digest);
                // One that is deleted at this moment is no referrer.
                let Some((kept, _)) = self.inner.records.get::<Kept>(&key).await? else {
                    continue;
                };
                bytes += kept.size;
                let manifest = self.inner.read(&digest, &kept).await?;
                referrers.push(Referrer {
                    media_type: kept.media_type,
                    digest,
                    size: kept.size,
                    artifact_type: manifest.artifact_type,
                    annotations: manifest.annotations,
                });
            }
            if !more {
                break;
            }
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": referrers});
        let mut response = Json(index).into_response();
        let headers = response.headers_mut();
        set(headers, header::CONTENT_TYPE, OCI_INDEX);
        if wanted.is_some() {
            set(headers, OCI_FILTERS, "artifactType");
        }
        if let Some(last) = next {
            let filter = wanted.map(|wanted| format!("&artifactType={}", escaped(wanted)));
            let filter = filter.unwrap_or_default();
            let link =
                format!("</v2/{repository}/referrers/{subject}?last={last}{filter}>; rel=\"next\"");
            set(headers, header::LINK, &link);
        }
        Ok(response)
    }
}

/// What may stand in a query.
fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

//! end-4, end-5, end-6, end-11, end-13, end-14: how a blob comes in.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;

use super::Call;
use super::answer::{CONTENT_DIGEST, empty};
use crate::digest::{Algorithm, ContentDigest};
use crate::error::{RegistryError, Result};
use crate::gate::Action;
use crate::name::Repository;
use crate::records;
use crate::uploads::{Chunk, Session, Spool};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Repositories that are asked for a blob that a client wants from wherever it is.
const MOST_HOLDERS: usize = 100;

impl Call {
    /// A new upload; or, with `digest`, the whole blob at once; or, with `mount`, a blob that another repository has.
    pub(super) async fn begin(self, repository: Repository, body: Body) -> Result<Response> {
        if let Some(digest) = self.query.get("mount") {
            let digest: ContentDigest = digest.parse()?;
            if self.mount(&repository, &digest).await? {
                return Ok(created(&repository, &digest));
            }
        }
        let digest = self
            .query
            .get("digest")
            .map(str::parse::<ContentDigest>)
            .transpose()?;
        let algorithm = match (&digest, self.query.get("digest-algorithm")) {
            (Some(digest), _) => digest.algorithm(),
            (None, Some(named)) => named.parse()?,
            (None, None) => Algorithm::default(),
        };
        let inner = self.inner.clone();
        let (id, now) = (inner.surroundings.id(), inner.surroundings.now());
        let tenant = self.caller.tenant();
        let session = inner
            .uploads
            .begin(id, &repository, tenant, algorithm, now)
            .await?;
        let Some(digest) = digest else {
            let spool = session.spool.lock().await;
            return Ok(going_on(
                StatusCode::ACCEPTED,
                &repository,
                &session.id,
                &spool,
            ));
        };
        self.complete(repository, session, digest, body).await
    }

    /// The next bytes of an upload.
    pub(super) async fn chunk(
        self,
        repository: Repository,
        id: &str,
        body: Body,
    ) -> Result<Response> {
        let session = self.session(&repository, id)?;
        let mut spool = session.spool.lock().await;
        self.append(&session, &mut spool, body).await?;
        Ok(going_on(StatusCode::ACCEPTED, &repository, id, &spool))
    }

    /// The last bytes of an upload, and its digest.
    pub(super) async fn finish(
        self,
        repository: Repository,
        id: &str,
        body: Body,
    ) -> Result<Response> {
        let session = self.session(&repository, id)?;
        let digest = self.query.get("digest").ok_or_else(|| {
            RegistryError::UploadInvalid(
                "the last request of an upload carries `?digest=`".to_owned(),
            )
        })?;
        let digest = digest.parse()?;
        self.complete(repository, session, digest, body).await
    }

    pub(super) async fn cancel(self, repository: Repository, id: &str) -> Result<Response> {
        self.session(&repository, id)?;
        self.inner.uploads.end(id);
        Ok(empty(StatusCode::NO_CONTENT, &[]))
    }

    pub(super) async fn status(self, repository: Repository, id: &str) -> Result<Response> {
        let session = self.session(&repository, id)?;
        let spool = session.spool.lock().await;
        Ok(going_on(StatusCode::NO_CONTENT, &repository, id, &spool))
    }

    fn session(&self, repository: &Repository, id: &str) -> Result<Arc<Session>> {
        let (now, tenant) = (self.inner.surroundings.now(), self.caller.tenant());
        self.inner.uploads.find(id, repository, tenant, now)
    }

    /// Takes the request's body. An upload that can no longer become anything ends here.
    async fn append(&self, session: &Session, spool: &mut Spool, body: Body) -> Result<()> {
        let text = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let chunk = text(header::CONTENT_RANGE).map(Chunk::parse).transpose()?;
        let outcome = spool.append(body, chunk, announced).await;
        if let Err(RegistryError::TooLarge { .. } | RegistryError::Disk(_)) = outcome {
            self.inner.uploads.end(&session.id);
        }
        outcome
    }

    /// The last bytes, then the digest, then the object, then the record.
    async fn complete(
        self,
        repository: Repository,
        session: Arc<Session>,
        digest: ContentDigest,
        body: Body,
    ) -> Result<Response> {
        let mut spool = session.spool.lock().await;
        self.append(&session, &mut spool, body).await?;
        let inner = &self.inner;
        let size = spool.length();
        let stored = async {
            let bytes = spool.verified(&digest).await?;
            inner.room(&repository, &digest, size).await?;
            let held = inner.objects.hold(&digest).await;
            inner.objects.put(&held, &digest, size, bytes).await?;
            inner.hold_blob(&repository, &digest, size).await
        };
        let stored = stored.await;
        inner.uploads.end(&session.id);
        stored?;
        Ok(created(&repository, &digest))
    }

    /// Takes a blob over from a repository that the caller may read: the named one, or any.
    async fn mount(&self, repository: &Repository, digest: &ContentDigest) -> Result<bool> {
        let sources: Vec<Repository> = match self.query.get("from") {
            Some(from) => vec![from.parse()?],
            None => {
                let prefix = records::holders_prefix(digest);
                let page = self.inner.records.page(&prefix, None, MOST_HOLDERS).await?;
                let names = page.0.into_iter().filter_map(|record| {
                    let name = record.key.strip_prefix(&prefix)?.strip_suffix("@blob")?;
                    name.parse().ok()
                });
                names.collect()
            }
        };
        for source in sources {
            if self
                .inner
                .admit(&*self.caller, &source, Action::Pull)
                .await
                .is_err()
            {
                continue;
            }
            let _held = self.inner.objects.hold(digest).await;
            match self.inner.link(&source, digest).await {
                Ok(link) => {
                    self.inner.room(repository, digest, link.size).await?;
                    self.inner.hold_blob(repository, digest, link.size).await?;
                    return Ok(true);
                }
                Err(RegistryError::BlobUnknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn created(repository: &Repository, digest: &ContentDigest) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let digest = digest.to_string();
    empty(
        StatusCode::CREATED,
        &[(header::LOCATION, &location), (CONTENT_DIGEST, &digest)],
    )
}

fn going_on(status: StatusCode, repository: &Repository, id: &str, spool: &Spool) -> Response {
    let location = format!("/v2/{repository}/blobs/uploads/{id}");
    let range = format!("0-{}", spool.length().saturating_sub(1));
    let fields = [
        (header::LOCATION, &*location),
        (header::RANGE, &*range),
        (UPLOAD_ID, id),
    ];
    empty(status, &fields)
}

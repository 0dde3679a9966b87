//! The fetch layer: admission, single flight, retries, and the three kinds of source.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bootsplice_content::Digest;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use url::Url;

use super::http::{Get, Http, UNASKED};
use super::lanes::Lanes;
use super::remembered::{Memory, Remembered, millis};
use super::{FetchPolicy, Meter, file};
use crate::blobs::{Blob, BlobStore, Scope, Spool};
use crate::clock::Clock;
use crate::contract::Quota;
use crate::error::{EngineError, GeneratorError};
use crate::grant::{self, Grants};
use crate::job::Observer;
use crate::secret::{Secret, Secrets};

/// Fetches for all runs of an engine. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    policy: FetchPolicy,
    http: Http,
    store: BlobStore,
    remembered: Remembered,
    permits: Semaphore,
    lanes: Lanes,
    /// One lock for each thing that is being fetched; gone with its last holder.
    flights: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    clock: Clock,
}

/// On whose behalf something is fetched.
pub struct Asker<'a> {
    pub tenant: &'a str,
    pub grants: &'a Grants,
    pub secrets: &'a Secrets,
    pub meter: &'a Meter,
    pub observer: &'a dyn Observer,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Tried in order.
    pub urls: Vec<String>,
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    pub max_size: u64,
    /// Name of a secret.
    pub credential: Option<String>,
    /// For what is not pinned: the oldest copy that will do.
    pub max_age: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct Fetched {
    pub content: Blob,
    pub final_url: String,
    pub etag: Option<String>,
    pub from_cache: bool,
    /// In which scope the bytes were admitted.
    pub scope: Scope,
}

struct Arrived {
    final_url: String,
    etag: Option<String>,
}

// === impl Fetcher ===

impl Fetcher {
    pub fn open(
        state: &Path,
        store: BlobStore,
        policy: FetchPolicy,
        clock: Clock,
    ) -> Result<Self, EngineError> {
        Ok(Self(Arc::new(Inner {
            http: Http::new(&policy).map_err(EngineError::Setup)?,
            remembered: Remembered::open(state)
                .map_err(EngineError::io("making the record of URLs"))?,
            permits: Semaphore::new(policy.concurrent.max(1)),
            lanes: Lanes::new(policy.per_origin),
            flights: Mutex::default(),
            store,
            policy,
            clock,
        })))
    }

    /// Fetches `wanted`, or serves it from what was admitted to a scope of the asker.
    pub async fn fetch(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
    ) -> Result<Fetched, GeneratorError> {
        asker.meter.fetch()?;
        let started = (self.0.clock)();
        if wanted.urls.is_empty() || wanted.urls.len() > 16 {
            return Err(GeneratorError::Unsupported(
                "a fetch names 1 to 16 URLs".into(),
            ));
        }
        let mut failure = None;
        for text in &wanted.urls {
            match self.one_url(asker, wanted, text, started).await {
                Ok(fetched) => return Ok(fetched),
                // A limit of the run holds for every URL; anything else may be better elsewhere. The first failure tells most.
                Err(error @ (GeneratorError::Quota { .. } | GeneratorError::Cancelled)) => {
                    return Err(error);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| GeneratorError::upstream("no URL was tried")))
    }

    async fn one_url(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
        text: &str,
        started: SystemTime,
    ) -> Result<Fetched, GeneratorError> {
        let url = grant::parse(text).map_err(|error| GeneratorError::Denied(error.to_string()))?;
        if !asker.grants.allow(&url) {
            return Err(GeneratorError::Denied(format!(
                "{url}: no grant of this step covers it"
            )));
        }
        let credential = self.credential(asker, wanted)?;
        let scope = self
            .scope(asker.tenant, &url, wanted.credential.as_deref())
            .await;
        let served = match wanted.digest {
            // What is admitted to the public may be served to whoever may reach the URL.
            Some(_) => vec![scope.clone(), Scope::Public],
            None => vec![scope.clone()],
        };
        if let Some(hit) = self.cached(wanted, &url, &served, started)? {
            return count(asker.meter, wanted, hit);
        }
        let flight = self.flight(format!("{scope}\n{url}\n{:?}", wanted.digest));
        let _alone = flight.lock().await;
        // Another job may have fetched it meanwhile: a copy made after this was asked for is as fresh as one's own.
        if let Some(hit) = self.cached(wanted, &url, &served, started)? {
            return count(asker.meter, wanted, hit);
        }
        // First the origin's: who waits for a slow one takes no place from others.
        let _lane = self.0.lanes.enter(&url).await;
        let _permit = self
            .0
            .permits
            .acquire()
            .await
            .map_err(|_| GeneratorError::Cancelled)?;
        asker.observer.fetching(url.as_str());
        let (spool, arrived) = self
            .with_retries(asker, wanted, &url, credential.as_ref())
            .await?;
        // A public URL that leads inside gives what only the inside has.
        let scope = match Url::parse(&arrived.final_url) {
            Ok(last) if last.origin() != url.origin() => {
                scope.and(&self.scope(asker.tenant, &last, None).await)
            }
            _ => scope,
        };
        self.admit(wanted, &url, scope, spool, arrived).await
    }

    /// Checks what came against what was promised and keeps it.
    async fn admit(
        &self,
        wanted: &Wanted,
        url: &Url,
        scope: Scope,
        spool: Spool,
        arrived: Arrived,
    ) -> Result<Fetched, GeneratorError> {
        if let Some(size) = wanted.size
            && size != spool.len()
            && wanted.digest.is_none()
        {
            return Err(GeneratorError::upstream(format!(
                "{url} has {} bytes; {size} were expected",
                spool.len()
            )));
        }
        let store = self.0.store.clone();
        let keep_in = scope.clone();
        let expected = wanted.digest;
        let kept = tokio::task::spawn_blocking(move || match expected {
            Some(expected) if expected != spool.digest() => Ok(Err(spool.digest())),
            _ => store.keep(spool, &keep_in).map(Ok),
        })
        .await
        .map_err(|error| GeneratorError::Host(error.to_string()))?
        .map_err(GeneratorError::host("keeping a fetched blob"))?;
        let content = kept.map_err(|actual| GeneratorError::Integrity {
            expected: expected.unwrap_or(actual),
            actual,
            url: url.to_string(),
        })?;
        let memory = Memory {
            digest: content
                .digest()
                .map_err(GeneratorError::host("naming a blob"))?,
            final_url: arrived.final_url.clone(),
            etag: arrived.etag.clone(),
            fetched: millis((self.0.clock)()),
        };
        self.0
            .remembered
            .put(&self.0.store, &scope, url.as_str(), &memory)
            .map_err(GeneratorError::host("remembering a URL"))?;
        Ok(Fetched {
            content,
            final_url: arrived.final_url,
            etag: arrived.etag,
            from_cache: false,
            scope,
        })
    }

    fn cached(
        &self,
        wanted: &Wanted,
        url: &Url,
        scopes: &[Scope],
        started: SystemTime,
    ) -> Result<Option<Fetched>, GeneratorError> {
        let read = GeneratorError::host("reading a kept blob");
        if let Some(digest) = wanted.digest {
            let found = self.0.store.admitted(scopes, &digest).map_err(read)?;
            return Ok(found.map(|(content, scope)| Fetched {
                content,
                final_url: url.to_string(),
                etag: None,
                from_cache: true,
                scope,
            }));
        }
        let oldest = started
            .checked_sub(wanted.max_age.unwrap_or_default())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let scope = &scopes[0];
        let Some(memory) = self
            .0
            .remembered
            .get(scope, url.as_str())
            .filter(|memory| memory.is_since(oldest))
        else {
            return Ok(None);
        };
        let found = self
            .0
            .store
            .admitted([scope], &memory.digest)
            .map_err(read)?;
        Ok(found.map(|(content, scope)| Fetched {
            content,
            final_url: memory.final_url,
            etag: memory.etag,
            from_cache: true,
            scope,
        }))
    }

    async fn with_retries(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
        url: &Url,
        credential: Option<&Secret>,
    ) -> Result<(Spool, Arrived), GeneratorError> {
        let mut wait = self.0.policy.backoff;
        for attempt in 1.. {
            let mut spool = self.0.store.spool();
            match self.once(asker, wanted, url, credential, &mut spool).await {
                Ok(arrived) => return Ok((spool, arrived)),
                Err(GeneratorError::Upstream {
                    retry_after: Some(pause),
                    ..
                }) if attempt < self.0.policy.tries && pause <= self.0.policy.longest_pause => {
                    asker.meter.refund(spool.len());
                    // A pause that the server named itself is kept.
                    let named = Some(pause).filter(|pause| *pause > UNASKED);
                    tokio::time::sleep(wait.max(named.unwrap_or_default())).await;
                    wait *= 2;
                }
                Err(error) => {
                    asker.meter.refund(spool.len());
                    return Err(error);
                }
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn once(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
        url: &Url,
        credential: Option<&Secret>,
        spool: &mut Spool,
    ) -> Result<Arrived, GeneratorError> {
        match url.scheme() {
            "https" | "http" => {
                let ask = Get {
                    url: url.clone(),
                    grants: asker.grants,
                    credential,
                    max_size: wanted.max_size,
                    meter: asker.meter,
                };
                let answer = self.0.http.get(ask, spool).await?;
                Ok(Arrived {
                    final_url: answer.final_url.into(),
                    etag: answer.etag,
                })
            }
            "file" => {
                let file = file::open(url, asker.grants, &self.0.policy.roots)?;
                copy_file(file, url, wanted.max_size, asker.meter, spool).await?;
                Ok(Arrived {
                    final_url: url.to_string(),
                    etag: None,
                })
            }
            _ => self.get_object(asker, wanted, url, spool).await,
        }
    }

    async fn get_object(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
        url: &Url,
        spool: &mut Spool,
    ) -> Result<Arrived, GeneratorError> {
        let bucket = self
            .0
            .policy
            .buckets
            .iter()
            .find(|bucket| bucket.prefix.covers(url))
            .ok_or_else(|| {
                GeneratorError::Denied(format!("{url}: the operator opened no such bucket"))
            })?;
        let key = object_store::path::Path::from_url_path(url.path())
            .map_err(|error| GeneratorError::Unsupported(format!("{url}: {error}")))?;
        let failed = |error: object_store::Error| match error {
            object_store::Error::NotFound { .. } => GeneratorError::NotFound(url.to_string()),
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => GeneratorError::Denied(format!(
                "{url}: the bucket refused the operator's credentials"
            )),
            other => GeneratorError::Upstream {
                message: format!("{url}: {other}"),
                retry_after: Some(Duration::from_secs(1)),
            },
        };
        let object = bucket.store.get(&key).await.map_err(failed)?;
        let size = object.meta.size;
        if size > wanted.max_size {
            return Err(too_large(url, wanted.max_size));
        }
        let etag = object.meta.e_tag.clone();
        let mut body = object.into_stream();
        let mut total = 0;
        while let Some(piece) = body.try_next().await.map_err(failed)? {
            if piece.is_empty() {
                break;
            }
            total += piece.len() as u64;
            if total > wanted.max_size {
                return Err(too_large(url, wanted.max_size));
            }
            asker.meter.bytes(piece.len() as u64)?;
            spool
                .write_all(&piece)
                .map_err(GeneratorError::host("spooling a fetch"))?;
        }
        if total != size {
            return Err(GeneratorError::Upstream {
                message: format!("{url}: {total} bytes came, {size} were promised"),
                retry_after: Some(Duration::from_secs(1)),
            });
        }
        Ok(Arrived {
            final_url: url.to_string(),
            etag,
        })
    }

    fn credential(
        &self,
        asker: &Asker<'_>,
        wanted: &Wanted,
    ) -> Result<Option<Secret>, GeneratorError> {
        let Some(name) = &wanted.credential else {
            return Ok(None);
        };
        if !asker.grants.allow_credential(name) {
            return Err(GeneratorError::Denied(format!(
                "secret `{name}` is not granted to this step"
            )));
        }
        (asker.secrets)(name)
            .map(Some)
            .ok_or_else(|| GeneratorError::NotFound(format!("secret `{name}`")))
    }

    /// The scope that a URL is reached in. Public is only what the public network gives to anyone.
    pub async fn scope(&self, tenant: &str, url: &Url, credential: Option<&str>) -> Scope {
        if let Some(name) = credential {
            return Scope::private(tenant, format!("secret:{name}"));
        }
        match url.scheme() {
            "https" | "http" => {
                if self.0.http.is_internal(url).await {
                    Scope::private(
                        tenant,
                        format!("network:{}", url.host_str().unwrap_or_default()),
                    )
                } else {
                    Scope::Public
                }
            }
            "file" => Scope::private(tenant, "file"),
            scheme => Scope::private(
                tenant,
                format!("{scheme}://{}", url.host_str().unwrap_or_default()),
            ),
        }
    }

    fn flight(&self, key: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.flights.lock();
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

/// A cached answer costs the run what a fetched one does.
fn count(meter: &Meter, wanted: &Wanted, hit: Fetched) -> Result<Fetched, GeneratorError> {
    if hit.content.size() > wanted.max_size {
        return Err(GeneratorError::quota(
            Quota::FetchBytes,
            format!("{} is larger than {} bytes", hit.final_url, wanted.max_size),
        ));
    }
    meter.bytes(hit.content.size())?;
    Ok(hit)
}

fn too_large(url: &Url, max: u64) -> GeneratorError {
    GeneratorError::quota(
        Quota::FetchBytes,
        format!("{url} is larger than {max} bytes"),
    )
}

async fn copy_file(
    file: std::fs::File,
    url: &Url,
    max: u64,
    meter: &Meter,
    spool: &mut Spool,
) -> Result<(), GeneratorError> {
    use tokio::io::AsyncReadExt;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(256 * 1024);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file
            .read(&mut buffer)
            .await
            .map_err(|error| GeneratorError::upstream(format!("{url}: {error}")))?;
        if count == 0 {
            return Ok(());
        }
        if spool.len() + count as u64 > max {
            return Err(too_large(url, max));
        }
        meter.bytes(count as u64)?;
        spool
            .write_all(&buffer[..count])
            .map_err(GeneratorError::host("spooling a fetch"))?;
    }
}

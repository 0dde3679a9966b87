//! `fetch`: everything that leaves the sandbox, by the phase's rules.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt;

use super::bindings::bootsplice::generator::fetch::{Host, Request, Response};
use super::bindings::bootsplice::generator::types::Error;
use super::bindings::bootsplice::generator::types::Host as _;
use crate::blobs::{Blob, BlobStore};
use crate::error::GeneratorError;
use crate::fetch::{Fetched, Wanted};
use crate::run::{Reach, Run};
use crate::tape::Asked;

/// Requests that one call may carry.
const MAX_BATCH: usize = 1024;
/// Requests of one call that run at a time.
const PARALLEL: usize = 16;

impl Host for Run {
    async fn get(&mut self, request: Request) -> Result<Response, GeneratorError> {
        let wanted = wanted(&request)?;
        let live = self.reach.fetch(&wanted);
        let result = exchange(&self.reach, &self.store, &request, live).await;
        self.answer(result?)
    }

    async fn get_all(
        &mut self,
        requests: Vec<Request>,
    ) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        let mut live = Vec::with_capacity(requests.len().min(MAX_BATCH));
        if !self.reach.access.outside.replays() {
            let (reach, requests) = (&self.reach, &requests);
            let mut running = futures::stream::iter(
                (0..requests.len().min(MAX_BATCH))
                    .map(|index| async move { reach.fetch(&wanted(&requests[index])?).await }),
            )
            .buffered(PARALLEL);
            while let Some(result) = running.next().await {
                live.push(result);
            }
        }
        let mut live = live.into_iter();
        let mut answers = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let result = if index < MAX_BATCH {
                // Of a replay there is nothing live, and nothing waits for it.
                let live = live.next();
                let live = async { live.unwrap_or(Err(GeneratorError::Cancelled)) };
                exchange(&self.reach, &self.store, request, live).await
            } else {
                Err(GeneratorError::Unsupported(format!(
                    "at most {MAX_BATCH} requests in one call"
                )))
            };
            answers.push(match result.and_then(|fetched| self.answer(fetched)) {
                Ok(response) => Ok(response),
                Err(error) => Err(self.convert_error(error)?),
            });
        }
        Ok(answers)
    }
}

impl Run {
    fn answer(&mut self, fetched: Fetched) -> Result<Response, GeneratorError> {
        self.note(&fetched);
        Ok(Response {
            content: self
                .hand_out(fetched.content)
                .map_err(|_| self.handles_full())?,
            final_url: fetched.final_url,
            etag: fetched.etag,
            from_cache: fetched.from_cache,
        })
    }
}

/// The one answer to a request, live or recorded.
async fn exchange(
    reach: &Reach,
    store: &BlobStore,
    request: &Request,
    live: impl Future<Output = Result<Fetched, GeneratorError>>,
) -> Result<Fetched, GeneratorError> {
    let outside = &reach.access.outside;
    let real = async {
        let fetched = live.await?;
        let rest = (
            fetched.final_url,
            fetched.etag,
            fetched.from_cache,
            fetched.scope,
        );
        Ok((Some(fetched.content), rest))
    };
    let result = outside.exchange(store, || Ok(asked(request)), real).await;
    if outside.replays() {
        let size = result
            .as_ref()
            .map_or(0, |(blob, _)| blob.as_ref().map_or(0, Blob::size));
        reach.count(size)?;
    }
    let (content, (final_url, etag, from_cache, scope)) = result?;
    Ok(Fetched {
        content: content
            .ok_or_else(|| GeneratorError::Host("the recording of a fetch has no bytes".into()))?,
        final_url,
        etag,
        from_cache,
        scope,
    })
}

fn asked(request: &Request) -> Asked {
    Asked::Fetch {
        urls: request.urls.clone(),
        digest: request.digest.clone(),
        size: request.size,
        max_size: request.max_size,
        credential: request.credential.clone(),
        max_age: request.max_age,
    }
}

fn wanted(request: &Request) -> Result<Wanted, GeneratorError> {
    Ok(Wanted {
        urls: request.urls.clone(),
        digest: request
            .digest
            .as_ref()
            .map(|text| text.parse())
            .transpose()
            .map_err(|error: bootsplice_content::DigestError| {
                GeneratorError::Unsupported(error.to_string())
            })?,
        size: request.size,
        max_size: request.max_size,
        credential: request.credential.clone(),
        max_age: request
            .max_age
            .map(|seconds| Duration::from_secs(seconds.into())),
    })
}

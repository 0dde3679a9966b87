//! `fetch`: everything that leaves the sandbox, by the phase's rules.

use std::time::Duration;

use futures::StreamExt;

use super::bindings::bootsplice::generator::fetch::{Host, Request, Response};
use super::bindings::bootsplice::generator::types::Error;
use super::bindings::bootsplice::generator::types::Host as _;
use crate::error::GeneratorError;
use crate::fetch::{Fetched, Wanted};
use crate::run::Run;

/// Requests that one call may carry.
const MAX_BATCH: usize = 1024;
/// Requests of one call that run at a time.
const PARALLEL: usize = 16;

impl Host for Run {
    async fn get(&mut self, request: Request) -> Result<Response, GeneratorError> {
        let fetched = self.reach.fetch(wanted(request)?).await?;
        self.answer(fetched)
    }

    async fn get_all(
        &mut self,
        requests: Vec<Request>,
    ) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        let mut answers = Vec::with_capacity(requests.len().min(MAX_BATCH));
        let mut results = Vec::with_capacity(requests.len().min(MAX_BATCH));
        {
            let reach = &self.reach;
            let mut running = futures::stream::iter(requests.into_iter().enumerate().map(
                |(index, request)| async move {
                    if index >= MAX_BATCH {
                        return Err(GeneratorError::Unsupported(format!(
                            "at most {MAX_BATCH} requests in one call"
                        )));
                    }
                    reach.fetch(wanted(request)?).await
                },
            ))
            .buffered(PARALLEL);
            while let Some(result) = running.next().await {
                results.push(result);
            }
        }
        for result in results {
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

fn wanted(request: Request) -> Result<Wanted, GeneratorError> {
    Ok(Wanted {
        urls: request.urls,
        digest: request
            .digest
            .map(|text| text.parse())
            .transpose()
            .map_err(|error: bootsplice_content::DigestError| {
                GeneratorError::Unsupported(error.to_string())
            })?,
        size: request.size,
        max_size: request.max_size,
        credential: request.credential,
        max_age: request
            .max_age
            .map(|seconds| Duration::from_secs(seconds.into())),
    })
}

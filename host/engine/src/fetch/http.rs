//! GET over HTTP: redirects by hand, each asked for anew; sizes and silences bounded.

use std::error::Error;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use url::{Host, Url};

use super::address::{AddressDenied, Resolver};
use super::{FetchPolicy, Meter, Proxy};
use crate::blobs::Spool;
use crate::contract::Quota;
use crate::error::GeneratorError;
use crate::grant::{self, Grants};
use crate::secret::Secret;

const MAX_REDIRECTS: usize = 5;
/// A server that asks for a longer pause has failed for this run.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What callers are told to wait when the server named no pause.
pub const UNASKED: Duration = Duration::from_secs(1);

/// The one HTTP client of an engine.
#[derive(Clone)]
pub struct Http {
    client: Client,
    /// The proxy, and the client that goes through it.
    proxied: Option<(Proxy, Client)>,
    resolver: Resolver,
}

/// What one GET is asked with.
pub struct Get<'a> {
    pub url: Url,
    pub grants: &'a Grants,
    pub credential: Option<&'a Secret>,
    pub max_size: u64,
    pub meter: &'a Meter,
}

pub struct Answer {
    pub final_url: Url,
    pub etag: Option<String>,
}

// === impl Http ===

impl Http {
    pub fn new(policy: &FetchPolicy) -> Result<Self, String> {
        let resolver = Resolver::new(policy.lookup.clone(), &policy.allow_networks);
        let mut extra = Vec::new();
        for pem in &policy.extra_roots {
            extra.extend(
                reqwest::Certificate::from_pem_bundle(pem)
                    .map_err(|error| format!("an extra root certificate: {error}"))?,
            );
        }
        let builder = || {
            Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                // A proxy from the environment would connect where the filter does not see.
                .no_proxy()
                .referer(false)
                .connect_timeout(policy.connect_timeout)
                .read_timeout(policy.read_timeout)
                .tls_certs_merge(extra.clone())
                .user_agent(concat!("bootsplice/", env!("CARGO_PKG_VERSION")))
        };
        let wrong = |error: reqwest::Error| format!("the HTTP client: {error}");
        let client = builder()
            .dns_resolver(resolver.clone())
            .build()
            .map_err(wrong)?;
        let proxied = match &policy.proxy {
            None => None,
            Some(proxy) => {
                // The proxy itself is the operator's word and may stand in a private network.
                let through = reqwest::Proxy::all(proxy.url.clone()).map_err(wrong)?;
                let client = builder().proxy(through).build().map_err(wrong)?;
                Some((proxy.clone(), client))
            }
        };
        Ok(Self {
            client,
            proxied,
            resolver,
        })
    }

    /// The client for `url`: the proxy's, unless the name is known to lead where nobody may go.
    async fn client(&self, url: &Url) -> Result<&Client, GeneratorError> {
        let Some((_, client)) = self
            .proxied
            .as_ref()
            .filter(|(proxy, _)| proxy.carries(url))
        else {
            return Ok(&self.client);
        };
        if literal(url).is_none()
            && let Err(error) = self
                .resolver
                .addresses(url.host_str().unwrap_or_default())
                .await
            && let Some(denied) = error.downcast_ref::<AddressDenied>()
        {
            return Err(GeneratorError::Denied(denied.to_string()));
        }
        Ok(client)
    }

    /// True when `url`'s host has an address inside the operator's network, so that what it gives is not public.
    pub async fn is_internal(&self, url: &Url) -> bool {
        // Nobody here knows where a proxy goes.
        if self
            .proxied
            .as_ref()
            .is_some_and(|(proxy, _)| proxy.carries(url))
        {
            return true;
        }
        match literal(url) {
            Some(address) => Resolver::is_internal(address),
            None => match self
                .resolver
                .addresses(url.host_str().unwrap_or_default())
                .await
            {
                Ok(addresses) => addresses
                    .iter()
                    .any(|address| Resolver::is_internal(*address)),
                // It cannot be reached at all, so nothing of it will be kept.
                Err(_) => false,
            },
        }
    }

    /// Fetches into `spool`. Bytes are charged to the meter as they come.
    pub async fn get(&self, ask: Get<'_>, spool: &mut Spool) -> Result<Answer, GeneratorError> {
        let mut url = ask.url.clone();
        let mut credential = ask.credential;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url, ask.grants)?;
            let mut request = self
                .client(&url)
                .await?
                .get(url.clone())
                .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if let Some(secret) = credential {
                request = request.header(AUTHORIZATION, authorization(secret)?);
            }
            let response = request.send().await.map_err(|error| failed(&url, error))?;
            let status = response.status();
            if status.is_redirection() {
                let target = response
                    .headers()
                    .get(LOCATION)
                    .and_then(|value| value.to_str().ok())
                    .ok_or_else(|| {
                        GeneratorError::upstream(format!("{url}: {status} without a Location"))
                    })?;
                let next = url.join(target).map_err(|error| {
                    GeneratorError::upstream(format!("{url}: redirected to no URL: {error}"))
                })?;
                let next = grant::parse(next.as_str()).map_err(|error| {
                    GeneratorError::Denied(format!("{url}: redirected: {error}"))
                })?;
                if url.scheme() == "https" && next.scheme() != "https" {
                    return Err(GeneratorError::Denied(format!(
                        "{url}: redirected from https to {}",
                        next.scheme()
                    )));
                }
                if next.origin() != url.origin() {
                    credential = None;
                }
                url = next;
                continue;
            }
            refuse_status(&url, &response)?;
            let etag = response
                .headers()
                .get(ETAG)
                .and_then(|value| value.to_str().ok())
                .filter(|text| text.len() <= 256)
                .map(str::to_owned);
            if let Some(length) = response.content_length()
                && length > ask.max_size
            {
                return Err(too_large(&url, ask.max_size));
            }
            let promised = response.content_length();
            let mut body = response.bytes_stream();
            let mut total = 0_u64;
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(|error| failed(&url, error))?;
                total += piece.len() as u64;
                if total > ask.max_size {
                    return Err(too_large(&url, ask.max_size));
                }
                ask.meter.bytes(piece.len() as u64)?;
                spool
                    .write_all(&piece)
                    .map_err(GeneratorError::host("spooling a fetch"))?;
            }
            if promised.is_some_and(|promised| promised != total) {
                return Err(passing(format!(
                    "{url}: {total} bytes came, {promised:?} were promised"
                )));
            }
            return Ok(Answer {
                final_url: url,
                etag,
            });
        }
        Err(GeneratorError::upstream(format!(
            "{}: more than {MAX_REDIRECTS} redirects",
            ask.url
        )))
    }

    fn check(&self, url: &Url, grants: &Grants) -> Result<(), GeneratorError> {
        if !matches!(url.scheme(), "https" | "http") || !grants.allow(url) {
            return Err(GeneratorError::Denied(format!(
                "{url}: no grant of this step covers it"
            )));
        }
        // Addresses written in the URL never pass the resolver.
        if let Some(address) = literal(url)
            && !self.resolver.permits(address)
        {
            return Err(GeneratorError::Denied(
                AddressDenied {
                    host: url.host_str().unwrap_or_default().to_owned(),
                    refused: vec![address],
                }
                .to_string(),
            ));
        }
        Ok(())
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

/// A secret's value as a header: as it is when it names its scheme (`Basic …`), else as a bearer token.
fn authorization(secret: &Secret) -> Result<HeaderValue, GeneratorError> {
    let value = secret.reveal().trim();
    let mut header = if value.contains(' ') {
        HeaderValue::from_str(value)
    } else {
        HeaderValue::from_str(&format!("Bearer {value}"))
    }
    .map_err(|_| {
        GeneratorError::Denied("the credential's value cannot stand in an HTTP header".into())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn refuse_status(url: &Url, response: &reqwest::Response) -> Result<(), GeneratorError> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(GeneratorError::NotFound(url.to_string())),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(GeneratorError::Denied(format!("{url} answered {status}")))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(again(url, response)),
        status if status.is_server_error() => Err(again(url, response)),
        status => Err(GeneratorError::upstream(format!("{url} answered {status}"))),
    }
}

fn again(url: &Url, response: &reqwest::Response) -> GeneratorError {
    let pause = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(UNASKED, Duration::from_secs);
    GeneratorError::Upstream {
        message: format!("{url} answered {}", response.status()),
        retry_after: (pause <= LONGEST_PAUSE).then_some(pause),
    }
}

fn passing(message: String) -> GeneratorError {
    GeneratorError::Upstream {
        message,
        retry_after: Some(UNASKED),
    }
}

fn too_large(url: &Url, max: u64) -> GeneratorError {
    GeneratorError::quota(
        Quota::FetchBytes,
        format!("{url} is larger than {max} bytes"),
    )
}

/// A refusal by the resolver comes back wrapped; it is told from a network's failure.
fn failed(url: &Url, error: reqwest::Error) -> GeneratorError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(denied) = inner.downcast_ref::<AddressDenied>() {
            return GeneratorError::Denied(denied.to_string());
        }
        last = inner.to_string();
        cause = inner.source();
    }
    passing(format!("{url}: {last}"))
}

//! The other side of the wire: what the command line uses to talk to a host.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::problem::ProblemBody;

/// A host and the token to talk to it with.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// An answer with what its header says.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub value: T,
}

/// A request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host refused; its problem says why.
    #[error("{}", describe(.0))]
    Problem(Box<ProblemBody>),
    /// Nobody answers. Is `BOOTSPLICE_URL` right, and the host up?
    #[error("cannot reach {url}: {error}")]
    Unreachable { url: Url, error: String },
    /// Whoever answers is not a bootsplice host.
    #[error("{url} answered something that is not bootsplice's: {why}")]
    Foreign { url: Url, why: String },
    /// The URL, the certificate or the token cannot be used.
    #[error("{0}")]
    Setup(String),
}

// === impl Client ===

impl Client {
    /// Talks to the host at `base`. `authority` is a PEM file of certificates to trust besides the system's.
    pub fn new(
        base: Url,
        token: Option<String>,
        authority: Option<&Path>,
    ) -> Result<Self, ClientError> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(ClientError::Setup(format!(
                "`{base}` is not the URL of a host: expected http:// or https://"
            )));
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("bootsplice/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the token to wherever it points.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = authority {
            let setup = |why: String| {
                ClientError::Setup(format!("cannot trust `{}`: {why}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| setup(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| setup(error.to_string()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::Setup(error.to_string()))?;
        Ok(Self { http, base, token })
    }

    /// The address of something on the host. `path` is below the base, its segments already encoded.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let below = format!(
            "{}/{}",
            url.path().trim_end_matches('/'),
            path.trim_start_matches('/')
        );
        let (path, query) = match below.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (below, None),
        };
        url.set_path(&path);
        url.set_query(query.as_deref());
        url
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json::<(), T>(Method::GET, path, None, &[])
            .await
            .map(|answer| answer.value)
    }

    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, path);
        self.send(request, path).await.map(drop)
    }

    /// A request with a JSON body and a JSON answer.
    pub async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer<T>, ClientError> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| ClientError::Setup(format!("`{value}` cannot be sent as {name}")))?;
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request, path).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(path, &error))?;
        // `()` and the like, for answers without a body.
        let text = if bytes.is_empty() {
            &b"null"[..]
        } else {
            &bytes
        };
        let value = serde_json::from_slice(text).map_err(|error| ClientError::Foreign {
            url: self.url(path),
            why: error.to_string(),
        })?;
        Ok(Answer {
            status,
            headers,
            value,
        })
    }

    /// A request to be completed by the caller and given to [`Client::send`]: for streams and ranges.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success becomes [`ClientError::Problem`].
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        path: &str,
    ) -> Result<reqwest::Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(path, &error))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value == "application/problem+json");
        let foreign = |why: String| ClientError::Foreign {
            url: self.url(path),
            why,
        };
        if !problem {
            return Err(foreign(format!("status {status} without problem details")));
        }
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(path, &error))?;
        let body = serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()))?;
        Err(ClientError::Problem(Box::new(body)))
    }

    fn unreachable(&self, path: &str, error: &reqwest::Error) -> ClientError {
        // reqwest's own message hides the cause, which is what helps.
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text = inner.to_string();
            cause = inner.source();
        }
        ClientError::Unreachable {
            url: self.url(path),
            error: text,
        }
    }
}

// === impl Answer ===

impl<T> Answer<T> {
    pub fn etag(&self) -> Option<&str> {
        self.headers.get(ETAG)?.to_str().ok()
    }
}

/// A problem as a person reads it: title, detail, then each fault on a line of its own.
fn describe(problem: &ProblemBody) -> String {
    let mut text = problem.title.clone();
    if !problem.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&problem.detail);
    }
    for fault in &problem.errors {
        let place = match &*fault.pointer {
            "" => "the document",
            pointer => pointer,
        };
        text.push_str(&format!("\n  {place}: {} [{}]", fault.detail, fault.code));
        if let Some(hint) = &fault.hint {
            text.push_str(&format!("\n    {hint}"));
        }
    }
    text
}

//! Requests to a router without a socket.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bootsplice_registry::{Algorithm, ContentDigest};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{ACME, Host};

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The first error's code.
    pub fn code(&self) -> String {
        let code = &self.json()["errors"][0]["code"];
        code.as_str().unwrap().to_owned()
    }

    /// The status, and the code when it is an error with a body.
    pub fn outcome(&self) -> (u16, String) {
        let status = self.status.as_u16();
        let code = if status >= 400 && !self.body.is_empty() {
            self.code()
        } else {
            String::new()
        };
        (status, code)
    }
}

impl Host {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.registry.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// A request of `acme`; headers as `Name: value` lines.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = body.into();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-length", body.len());
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", ACME);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    /// Pushes a blob at once.
    pub async fn blob(&self, repository: &str, bytes: &[u8]) -> ContentDigest {
        let digest = sha256(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.call("POST", &path, &[], bytes.to_vec()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    /// Pushes a manifest under a tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str, document: &Value) -> Answer {
        let kind = document["mediaType"].as_str().unwrap().to_owned();
        let path = format!("/v2/{repository}/manifests/{reference}");
        let body = document.to_string();
        self.call("PUT", &path, &[("content-type", &kind)], body)
            .await
    }

    /// Pushes an image with one layer, and gives its document.
    pub async fn image(&self, repository: &str, tag: &str, layer: &[u8]) -> Value {
        let config = self.blob(repository, b"{}").await;
        let digest = self.blob(repository, layer).await;
        let document = image(
            descriptor("application/vnd.oci.empty.v1+json", &config, 2),
            vec![descriptor("application/x", &digest, layer.len())],
        );
        let answer = self.manifest(repository, tag, &document).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        document
    }
}

pub fn sha256(bytes: &[u8]) -> ContentDigest {
    ContentDigest::of(Algorithm::Sha256, bytes)
}

pub fn descriptor(kind: &str, digest: &ContentDigest, size: usize) -> Value {
    json!({"mediaType": kind, "digest": digest.to_string(), "size": size})
}

pub fn image(config: Value, layers: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers})
}

//! One registry: a client of the OCI distribution protocol with the right credentials for it, and errors for people.
//!
//! The token of `--token` goes to the host of `--url` and nowhere else. Other registries are asked anonymously, or with the name and password of
//! `BOOTSPLICE_REGISTRY_USER` and `BOOTSPLICE_REGISTRY_PASSWORD`.

use std::path::Path;

use bootsplice_content::Digest;
use bootsplice_engine::MAX_COMPONENT;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciImageManifest;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference as Place, RegistryOperation};
use url::{Host, Url};

use super::artifact::LAYER_TYPE;
use super::reference::{Reference, Version};

/// Bytes of a manifest or of a signature's payload that are read.
const MAX_SMALL: u64 = 4 << 20;

/// The registry of one reference.
pub struct Remote {
    client: Client,
    place: Place,
    auth: RegistryAuth,
}

/// Who to ask, and with what.
pub struct Access<'a> {
    pub url: &'a Url,
    pub token: Option<&'a str>,
    /// PEM file of certificates to trust besides the system's.
    pub authority: Option<&'a Path>,
    /// For registries that are not the host of `url`.
    pub elsewhere: Option<(String, String)>,
}

/// The registry did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{0}")]
    Setup(String),
    /// Not there, or not for this token to see.
    #[error("`{0}` is not there")]
    NotFound(String),
    #[error("{0}")]
    NotAllowed(String),
    /// The registry looked at it and said no.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the registry cannot be reached, or did not answer as one: {0}")]
    Unavailable(String),
}

// === impl Remote ===

impl Remote {
    pub fn open(reference: &Reference, access: &Access<'_>) -> Result<Self, RemoteError> {
        let own = authority_of(access.url)?;
        let host = reference.host.clone().unwrap_or_else(|| own.clone());
        let home = host == own;
        let plain = if home {
            access.url.scheme() == "http"
        } else {
            is_loopback(&host)
        };
        let mut config = ClientConfig {
            protocol: if plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            user_agent: concat!("bootsplice/", env!("CARGO_PKG_VERSION")),
            connect_timeout: Some(std::time::Duration::from_secs(10)),
            ..ClientConfig::default()
        };
        if let Some(path) = access.authority {
            let data = std::fs::read(path).map_err(|error| {
                RemoteError::Setup(format!("cannot trust `{}`: {error}", path.display()))
            })?;
            let encoding = CertificateEncoding::Pem;
            config
                .extra_root_certificates
                .push(Certificate { encoding, data });
        }
        let auth = match (home, access.token, &access.elsewhere) {
            (true, Some(token), _) => RegistryAuth::Bearer(token.trim().to_owned()),
            (false, _, Some((user, password))) => {
                RegistryAuth::Basic(user.clone(), password.clone())
            }
            _ => RegistryAuth::Anonymous,
        };
        let repository = reference.repository.clone();
        let place = match &reference.version {
            Version::Tag(tag) => Place::with_tag(host, repository, tag.clone()),
            Version::Digest(digest) => Place::with_digest(host, repository, digest.to_string()),
        };
        let client =
            Client::try_from(config).map_err(|error| RemoteError::Setup(error.to_string()))?;
        Ok(Self {
            client,
            place,
            auth,
        })
    }

    /// `host/namespace/name`, as signatures name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.place.registry(), self.place.repository())
    }

    /// Makes sure that the registry lets us in before anything large is sent.
    pub async fn enter(&self, operation: RegistryOperation) -> Result<(), RemoteError> {
        self.client
            .auth(&self.place, &self.auth, operation)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Sends a blob unless it is there.
    pub async fn push_blob(&self, content: &Bytes) -> Result<bool, RemoteError> {
        let digest = Digest::of(content).to_string();
        let there = self.client.blob_exists(&self.place, &digest).await;
        if there.map_err(|error| self.failed(error))? {
            return Ok(false);
        }
        self.client
            .push_blob(&self.place, content.clone(), &digest)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(true)
    }

    /// Puts a manifest under the reference's tag, or under another of the same repository. Answers its digest.
    pub async fn push_manifest(
        &self,
        tag: Option<&str>,
        manifest: &OciImageManifest,
    ) -> Result<Digest, RemoteError> {
        let place = match tag {
            None => self.place.clone(),
            Some(tag) => self.sibling(tag),
        };
        let body =
            serde_json::to_vec(manifest).map_err(|error| RemoteError::Setup(error.to_string()))?;
        let digest = Digest::of(&body);
        let media_type = manifest
            .media_type
            .as_deref()
            .unwrap_or(oci_client::manifest::OCI_IMAGE_MEDIA_TYPE);
        let media_type = media_type
            .parse()
            .map_err(|_| RemoteError::Setup(format!("`{media_type}` is no media type")))?;
        self.client
            .push_manifest_raw(&place, body, media_type)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(digest)
    }

    /// The manifest of the reference and its digest, checked.
    pub async fn manifest(&self) -> Result<(OciImageManifest, Digest), RemoteError> {
        self.pull(&self.place).await
    }

    /// The manifest under another tag of the repository; none when there is no such tag.
    pub async fn manifest_at(&self, tag: &str) -> Result<Option<OciImageManifest>, RemoteError> {
        match self.pull(&self.sibling(tag)).await {
            Ok((manifest, _)) => Ok(Some(manifest)),
            Err(RemoteError::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// A blob of at most 4 MiB, checked against its digest.
    pub async fn small_blob(&self, digest: &str, size: i64) -> Result<Vec<u8>, RemoteError> {
        if !u64::try_from(size).is_ok_and(|size| size <= MAX_SMALL) {
            return Err(RemoteError::Refused(format!(
                "`{digest}` claims {size} bytes; at most {MAX_SMALL} are read"
            )));
        }
        let mut content = Vec::new();
        self.client
            .pull_blob(&self.place, digest, &mut content)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(content)
    }

    /// The component of the reference, checked against the manifest that names it; and that manifest's digest.
    pub async fn component(&self) -> Result<(Bytes, Digest), RemoteError> {
        let (manifest, digest) = self.manifest().await?;
        let [layer] = &manifest.layers[..] else {
            return Err(RemoteError::Refused(format!(
                "`{}` has {} layers; a component has one",
                self.place,
                manifest.layers.len()
            )));
        };
        if layer.media_type != LAYER_TYPE {
            return Err(RemoteError::Refused(format!(
                "`{}` holds `{}`, expected `{LAYER_TYPE}`",
                self.place, layer.media_type
            )));
        }
        let size = u64::try_from(layer.size).unwrap_or(u64::MAX);
        if size > MAX_COMPONENT {
            return Err(RemoteError::Refused(format!(
                "the component claims {size} bytes; at most {MAX_COMPONENT} are read"
            )));
        }
        // By digest alone: the other places that a manifest may name for a layer are not asked.
        let pieces = self
            .client
            .pull_blob_stream(&self.place, &*layer.digest)
            .await;
        let mut pieces = pieces.map_err(|error| self.failed(error))?.stream;
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| RemoteError::Unavailable(error.to_string()))?;
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > size {
                return Err(RemoteError::Refused(format!(
                    "the component has more than the {size} bytes that its manifest says"
                )));
            }
        }
        let bytes = bytes.freeze();
        if Digest::of(&bytes).to_string() != layer.digest {
            return Err(RemoteError::Refused(format!(
                "the component is not the one that its manifest names, `{}`",
                layer.digest
            )));
        }
        Ok((bytes, digest))
    }

    async fn pull(&self, place: &Place) -> Result<(OciImageManifest, Digest), RemoteError> {
        let (body, _) = self
            .client
            .pull_manifest_raw(
                place,
                &self.auth,
                &[oci_client::manifest::OCI_IMAGE_MEDIA_TYPE],
            )
            .await
            .map_err(|error| self.failed(error))?;
        let manifest = serde_json::from_slice(&body).map_err(|error| {
            RemoteError::Unavailable(format!("`{place}` is no image manifest: {error}"))
        })?;
        Ok((manifest, Digest::of(&body)))
    }

    fn sibling(&self, tag: &str) -> Place {
        Place::with_tag(
            self.place.registry().to_owned(),
            self.place.repository().to_owned(),
            tag.to_owned(),
        )
    }

    fn failed(&self, error: OciDistributionError) -> RemoteError {
        match error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => RemoteError::NotAllowed(format!(
                "the registry `{}` does not know the token, or asks for one: give it by BOOTSPLICE_TOKEN",
                self.place.registry()
            )),
            OciDistributionError::ImageManifestNotFoundError(_) => {
                RemoteError::NotFound(self.place.to_string())
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let code = envelope.errors.first().map(|first| &first.code);
                let said: Vec<String> = envelope
                    .errors
                    .iter()
                    .map(|error| match error.detail.as_str() {
                        Some(detail) => format!("{}: {detail}", error.message),
                        None => error.message.clone(),
                    })
                    .collect();
                let said = said.join("; ");
                match code {
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound,
                    ) => RemoteError::NotFound(self.place.to_string()),
                    Some(OciErrorCode::Unauthorized) => RemoteError::NotAllowed(said),
                    Some(OciErrorCode::Denied) => RemoteError::NotAllowed(said),
                    _ => RemoteError::Refused(said),
                }
            }
            OciDistributionError::ServerError { code: 404, .. } => {
                RemoteError::NotFound(self.place.to_string())
            }
            OciDistributionError::ServerError { code, message, .. } if code < 500 => {
                RemoteError::Refused(message)
            }
            other => RemoteError::Unavailable(innermost(&other)),
        }
    }
}

/// `host:port` of a URL, without a port where it is the scheme's own.
fn authority_of(url: &Url) -> Result<String, RemoteError> {
    let host = url
        .host_str()
        .ok_or_else(|| RemoteError::Setup(format!("`{url}` names no host")))?;
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn is_loopback(authority: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{authority}/")) else {
        return false;
    };
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// reqwest's own message hides the cause, which is what helps.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_spoken_to_this_machine_only() {
        for near in [
            "127.0.0.1:5000",
            "localhost:5000",
            "[::1]:5000",
            "localhost",
        ] {
            assert!(is_loopback(near), "{near}");
        }
        for far in [
            "registry.example",
            "10.0.0.1:5000",
            "localhost.example",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn the_token_goes_to_its_own_host_alone() {
        let url = Url::parse("http://127.0.0.1:8080").unwrap();
        let access = Access {
            url: &url,
            token: Some("bst_secret"),
            authority: None,
            elsewhere: None,
        };
        let auth = |text: &str| Remote::open(&text.parse().unwrap(), &access).unwrap().auth;
        assert_eq!(
            auth("acme/hello:1.0.0"),
            RegistryAuth::Bearer("bst_secret".into())
        );
        assert_eq!(
            auth("127.0.0.1:8080/acme/hello:1.0.0"),
            RegistryAuth::Bearer("bst_secret".into())
        );
        assert_eq!(
            auth("127.0.0.1:8081/acme/hello:1.0.0"),
            RegistryAuth::Anonymous
        );
        assert_eq!(
            auth("registry.example/acme/hello:1.0.0"),
            RegistryAuth::Anonymous
        );
    }
}

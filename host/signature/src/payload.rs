//! The document that is signed: which manifest, under which name.

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use crate::{MAX_PAYLOAD, SignatureError};

const KIND: &str = "cosign container image signature";

/// What a signature says. Only the digest is judged: a registry is reached under more than one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `host/namespace/name`, as the signer called it.
    pub reference: String,
    /// Digest of the signed manifest.
    pub manifest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Document {
    critical: Critical,
    /// Anything a signer wanted to add; not ours to judge.
    #[serde(default)]
    optional: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

// === impl Payload ===

impl Payload {
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let wrong = |why: String| SignatureError::Payload(why);
        if bytes.len() > MAX_PAYLOAD {
            return Err(wrong(format!(
                "{} bytes; at most {MAX_PAYLOAD} are read",
                bytes.len()
            )));
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let Critical {
            identity,
            image,
            kind,
        } = document.critical;
        if kind != KIND {
            return Err(wrong(format!(
                "`critical.type` is `{kind}`, expected `{KIND}`"
            )));
        }
        let manifest = image
            .digest
            .parse()
            .map_err(|error| wrong(format!("`critical.image.docker-manifest-digest`: {error}")))?;
        Ok(Self {
            reference: identity.reference,
            manifest,
        })
    }

    /// The bytes that are signed: cosign's own form, so that the same statement is the same bytes whoever signs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = Document {
            critical: Critical {
                identity: Identity {
                    reference: self.reference.clone(),
                },
                image: Image {
                    digest: self.manifest.to_string(),
                },
                kind: KIND.to_owned(),
            },
            optional: None,
        };
        serde_json::to_vec(&document).expect("strings and nothing else always make JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_cosign_signs() {
        let payload = Payload {
            reference: "registry.example/acme/hello".into(),
            manifest: Digest::of(b"manifest"),
        };
        let text = String::from_utf8(payload.to_bytes()).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/acme/hello"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
                Digest::of(b"manifest")
            )
        );
        assert_eq!(Payload::parse(text.as_bytes()).unwrap(), payload);
    }

    #[test]
    fn a_statement_of_another_kind_or_about_no_digest_is_refused() {
        for (text, part) in [
            ("{}", "critical"),
            (
                r#"{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"md5:1"},"type":"cosign container image signature"}}"#,
                "docker-manifest-digest",
            ),
            (
                r#"{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"sha256:00"},"type":"atomic container signature"}}"#,
                "atomic",
            ),
        ] {
            let told = Payload::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
        assert!(Payload::parse(&vec![b' '; MAX_PAYLOAD + 1]).is_err());
    }
}

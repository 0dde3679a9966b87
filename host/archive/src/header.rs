//! The signed header of an archive: DSSE (secure-systems-lab/dsse v1) with Ed25519 over a CBOR payload, in one skippable frame of whole blocks.

use std::io::Read;

use bootsplice_content::{BLOCK, Digest, cbor};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ArchiveError, FORMAT, keys};

/// Media type of the payload, bound by the signature.
pub const PAYLOAD_TYPE: &str = "application/vnd.bootsplice.archive.v1+cbor";

/// The largest header: 16 MiB.
pub const MAX_BLOCKS: u64 = 32;

const FRAME_MAGIC: u32 = 0x184D_2A51;
const MAGIC: &[u8; 8] = b"BSPLICE1";
const SPENT_MAGIC: &[u8; 8] = b"BSPLICE0";
/// Frame magic, frame size, magic, envelope length.
const FIXED: usize = 20;
const MAX_SIGNATURES: usize = 16;

/// Everything that a signature binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub format: u32,
    /// Id of the base volume.
    pub base: Digest,
    /// GPT GUIDs.
    #[serde(with = "guid")]
    pub disk: Uuid,
    #[serde(with = "guid")]
    pub partition: Uuid,
    pub point: String,
    /// Blocks of the point, frames included.
    pub blocks: u64,
    pub launch: String,
    pub instance: String,
    /// Rises with each launch of the instance.
    pub sequence: u64,
    /// When given, the archive is for the machine with this DMI product UUID only.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_guid")]
    pub product_uuid: Option<Uuid>,
    /// Seconds since 1970.
    pub issued: u64,
    pub layers: Vec<HeaderLayer>,
    /// Blocks from the header to the end block, both included.
    pub length: u64,
    /// All points that carry an archive of this launch.
    pub points: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportAddress>,
}

/// One layer, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderLayer {
    pub digest: Digest,
    pub blocks: u64,
    pub steps: Vec<String>,
    pub scope: LayerScope,
}

/// Who shares a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerScope {
    /// The manifest layer: first.
    Manifest,
    Shared,
    /// Of this launch alone: last. Wiped once it was applied.
    Instance,
}

/// Where the guest reports to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAddress {
    pub url: String,
    /// Good for this launch's reports and nothing else.
    pub token: String,
    /// Seconds since 1970.
    pub expires: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    #[serde(with = "serde_bytes")]
    sig: Vec<u8>,
}

/// What is left of a header once its launch was applied: no report token, no signature, nothing to act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    pub launch: String,
    pub instance: String,
    pub sequence: u64,
}

/// What the agent writes over a header of `blocks` blocks once its launch was applied: a skippable frame of the same length, so that stock tools still read what follows.
pub fn spend(launch: &str, instance: &str, sequence: u64, blocks: u64) -> Vec<u8> {
    let note = cbor::encode(&Spent {
        launch: launch.to_owned(),
        instance: instance.to_owned(),
        sequence,
    });
    frame(SPENT_MAGIC, &note, blocks as usize)
}

fn frame(magic: &[u8; 8], content: &[u8], blocks: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(blocks * BLOCK);
    bytes.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&((blocks * BLOCK - 8) as u32).to_le_bytes());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(blocks * BLOCK, 0);
    bytes
}

/// The header of an archive in whole blocks: `payload`, signed with each of `keys`.
pub fn sign(payload: &Payload, signing: &[SigningKey]) -> Result<Vec<u8>, ArchiveError> {
    if signing.is_empty() || signing.len() > MAX_SIGNATURES {
        return Err(ArchiveError::Key(format!(
            "{} signing keys, expected 1 to {MAX_SIGNATURES}",
            signing.len()
        )));
    }
    let body = cbor::encode(payload);
    let message = pre_authentication(PAYLOAD_TYPE, &body);
    let signatures = signing
        .iter()
        .map(|key| EnvelopeSignature {
            keyid: keys::key_id(&key.verifying_key()),
            sig: key.sign(&message).to_bytes().to_vec(),
        })
        .collect();
    let envelope = cbor::encode(&Envelope {
        payload: body,
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures,
    });
    let blocks = (FIXED + envelope.len()).div_ceil(BLOCK);
    if blocks as u64 > MAX_BLOCKS {
        return Err(ArchiveError::corrupt(
            "header",
            format!("{} bytes are too many", envelope.len()),
        ));
    }
    Ok(frame(MAGIC, &envelope, blocks))
}

/// Reads a header and checks its shape and its signature by one of `trusted`. Gives the payload and the header's blocks. The reader stands behind them then.
pub fn open(
    mut reader: impl Read,
    trusted: &[VerifyingKey],
) -> Result<(Payload, u64), ArchiveError> {
    let wrong = |reason: &str| ArchiveError::corrupt("header", reason);
    let mut fixed = [0; FIXED];
    reader.read_exact(&mut fixed)?;
    if fixed == [0; FIXED] {
        return Err(ArchiveError::Empty);
    }
    let word =
        |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let spent = &fixed[8..16] == SPENT_MAGIC;
    if word(0) != FRAME_MAGIC || (&fixed[8..16] != MAGIC && !spent) {
        return Err(wrong("it does not start with the magic of format 1"));
    }
    let total = word(4) as usize + 8;
    let length = word(16) as usize;
    if !total.is_multiple_of(BLOCK) || total / BLOCK > MAX_BLOCKS as usize || length > total - FIXED
    {
        return Err(wrong("its lengths do not agree"));
    }
    let mut rest = vec![0; total - FIXED];
    reader.read_exact(&mut rest)?;
    if !bootsplice_content::is_zero(&rest[length..]) {
        return Err(wrong("its padding is not zero"));
    }
    if spent {
        let note: Spent = cbor::decode(&rest[..length])
            .map_err(|error| ArchiveError::corrupt("header", error))?;
        return Err(ArchiveError::Spent {
            launch: note.launch,
            sequence: note.sequence,
        });
    }
    let envelope: Envelope =
        cbor::decode(&rest[..length]).map_err(|error| ArchiveError::corrupt("header", error))?;
    if envelope.payload_type != PAYLOAD_TYPE || envelope.signatures.len() > MAX_SIGNATURES {
        return Err(wrong("its envelope is of another kind"));
    }
    let message = pre_authentication(&envelope.payload_type, &envelope.payload);
    // Every signature must be one of ours or of a key that is not known here; a known key with a wrong signature is an attack, not a rotation.
    let mut good = false;
    for signature in &envelope.signatures {
        let bytes: &[u8; 64] = signature
            .sig
            .as_slice()
            .try_into()
            .map_err(|_| wrong("a signature is not 64 bytes"))?;
        for key in trusted
            .iter()
            .filter(|key| keys::key_id(key) == signature.keyid)
        {
            key.verify_strict(&message, &Signature::from_bytes(bytes))
                .map_err(|_| wrong("a signature by a trusted key does not verify"))?;
            good = true;
        }
    }
    if !good {
        let ids = |ids: Vec<String>| ids.join(", ");
        return Err(ArchiveError::Untrusted {
            signed: ids(envelope
                .signatures
                .iter()
                .map(|one| one.keyid.chars().take(32).collect())
                .collect()),
            trusted: ids(trusted.iter().map(keys::key_id).collect()),
        });
    }
    let payload: Payload =
        cbor::decode(&envelope.payload).map_err(|error| ArchiveError::corrupt("header", error))?;
    if payload.format != FORMAT {
        return Err(wrong(&format!(
            "format {}, this release reads {FORMAT}",
            payload.format
        )));
    }
    Ok((payload, (total / BLOCK) as u64))
}

/// DSSE's pre-authentication encoding.
fn pre_authentication(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    message.extend_from_slice(body);
    message
}

// === impl ReportAddress ===

impl std::fmt::Debug for ReportAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReportAddress({}, token hidden)", self.url)
    }
}

mod guid {
    use serde::{Deserializer, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(guid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(guid.as_bytes())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        use serde::Deserialize as _;
        let bytes = serde_bytes::ByteArray::<16>::deserialize(deserializer)?;
        Ok(Uuid::from_bytes(bytes.into_array()))
    }
}

mod maybe_guid {
    use serde::{Deserializer, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(guid: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
        match guid {
            Some(guid) => serializer.serialize_bytes(guid.as_bytes()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Uuid>, D::Error> {
        super::guid::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn payload() -> Payload {
        Payload {
            format: FORMAT,
            base: Digest::of(b"base"),
            disk: Uuid::from_u128(1),
            partition: Uuid::from_u128(2),
            point: "base".into(),
            blocks: 64,
            launch: "01JD".into(),
            instance: "i-1".into(),
            sequence: 1,
            product_uuid: None,
            issued: 1_700_000_000,
            layers: Vec::new(),
            length: 2,
            points: vec!["base".into()],
            report: None,
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn a_header_opens_for_any_of_its_keys_and_no_other() {
        let bytes = sign(&payload(), &[key(1), key(2)]).unwrap();
        assert_eq!(bytes.len(), BLOCK);
        for seed in [1, 2] {
            let (opened, blocks) = open(
                &*bytes,
                &[key(9).verifying_key(), key(seed).verifying_key()],
            )
            .unwrap();
            assert_eq!((opened, blocks), (payload(), 1));
        }
        let refused = open(&*bytes, &[key(3).verifying_key()]).unwrap_err();
        assert!(
            matches!(refused, ArchiveError::Untrusted { .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_flipped_bit_in_any_byte_of_a_header_is_refused() {
        let bytes = sign(&payload(), &[key(1)]).unwrap();
        let used = FIXED + 800;
        // Each byte once, with another bit each time: a signature check in a debug build takes milliseconds.
        let mut bad = bytes.clone();
        for at in (0..used).chain([BLOCK - 1]) {
            bad[at] ^= 1 << (at % 8);
            assert!(open(&*bad, &[key(1).verifying_key()]).is_err(), "byte {at}");
            bad[at] = bytes[at];
        }
    }

    #[test]
    fn an_empty_point_is_named_as_such_and_a_short_one_fails() {
        let trusted = [key(1).verifying_key()];
        assert!(matches!(
            open(&*vec![0; BLOCK], &trusted),
            Err(ArchiveError::Empty)
        ));
        assert!(open(&b"BSPLICE1"[..], &trusted).is_err());
    }

    #[test]
    fn a_spent_header_says_whose_it_was() {
        let bytes = spend("01JD", "i-1", 1, 1);
        assert_eq!(bytes.len(), BLOCK);
        let refused = open(&*bytes, &[key(1).verifying_key()]).unwrap_err();
        assert!(matches!(refused, ArchiveError::Spent { launch, sequence: 1 } if launch == "01JD"));
    }

    #[test]
    fn the_same_payload_gives_the_same_header() {
        assert_eq!(
            sign(&payload(), &[key(1)]).unwrap(),
            sign(&payload(), &[key(1)]).unwrap()
        );
    }
}

//! Verifies a message: which signatures on it are good, made by keys that may sign, at the host's present time.

use std::io::{self, Read};
use std::time::SystemTime;

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType, SignatureVersion};
use pgp::ser::Serialize;
use pgp::types::KeyDetails;

use super::certificate::{Certificate, Part, run_out};
use super::clearsigned::{self, Clearsigned};
use super::memo::Check;
use super::moment::Moment;
use super::ring::{Keyring, Ring};
use super::{Distrust, Rejection, armour};
use crate::blobs::Blob;
use crate::error::GeneratorError;

/// Bytes of a clearsigned message, which is held in memory.
const MAX_MESSAGE: u64 = 16 << 20;
/// Bytes of content with a detached signature, hashed once for each signature that counts.
const MAX_CONTENT: u64 = 64 << 20;
/// Bytes of a signature file.
const MAX_SIGNATURE: u64 = 256 << 10;
/// Signatures that are looked at.
const MAX_SIGNATURES: usize = 16;
/// Keys that one signature is tried with.
const MAX_CANDIDATES: usize = 4;

/// A good signature by an allowed key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GoodSignature {
    /// Of the key or subkey that signed, in upper-case hex.
    pub fingerprint: String,
    /// Of its certificate's primary key.
    pub primary: String,
    /// When it says it was made, in seconds since 1970.
    pub made: u64,
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signed text of a clearsigned message; none with a detached signature, which covers the content as it is.
    pub text: Option<Vec<u8>>,
    /// At least one, in the order of the message.
    pub signatures: Vec<GoodSignature>,
}

/// What is signed.
enum Signed<'a> {
    Text(&'a [u8]),
    Content(&'a Blob),
}

/// Watches what is hashed.
struct Watched<R> {
    from: R,
    /// A carriage return was among it.
    carriage_return: bool,
    failed: Option<io::Error>,
}

/// Verifies a clearsigned message or, with `detached`, content against a signature file. One good signature by an allowed key suffices.
pub fn verify(
    content: &Blob,
    detached: Option<&Blob>,
    keyrings: &[Keyring],
    now: SystemTime,
) -> Result<Verified, GeneratorError> {
    let ring = Ring::read(keyrings)?;
    let now = Moment::from(now);
    let (text, signatures) = match detached {
        None => {
            let message = Clearsigned::split(&held(content, MAX_MESSAGE, "a signed message")?)?;
            let signed = Signed::Text(message.hashed());
            let good = judge(&message.signatures, &signed, &ring, now)?;
            (Some(message.text), good)
        }
        Some(file) => {
            within(content, MAX_CONTENT, "content with a signature of its own")?;
            let packets = detached_packets(&held(file, MAX_SIGNATURE, "a signature file")?)?;
            let good = judge(&packets, &Signed::Content(content), &ring, now)?;
            (None, good)
        }
    };
    Ok(Verified { text, signatures })
}

/// The good signatures among `packets`, or why there is none.
fn judge(
    packets: &[u8],
    signed: &Signed<'_>,
    ring: &Ring,
    now: Moment,
) -> Result<Vec<GoodSignature>, GeneratorError> {
    let (signatures, unreadable) = read(packets)?;
    let mut good = Vec::new();
    let mut faults: Vec<Rejection> = Vec::new();
    for signature in &signatures {
        match judge_one(signature, signed, ring, now) {
            Ok(found) => good.push(found),
            Err(GeneratorError::Untrusted(fault)) => faults.push(fault),
            Err(other) => return Err(other),
        }
    }
    if !good.is_empty() {
        return Ok(good);
    }
    let reason = faults.iter().map(|fault| fault.reason).max();
    let reason = reason.unwrap_or(if unreadable {
        Distrust::Malformed
    } else {
        Distrust::Missing
    });
    let mut told: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
    if unreadable {
        told.push("a packet cannot be read".into());
    }
    if told.is_empty() {
        told.push("there is none".into());
    }
    let message = format!("no good signature: {}", told.join("; "));
    Err(reason.because(message).into())
}

/// Judges one signature with every allowed key that it may be by.
fn judge_one(
    signature: &Signature,
    signed: &Signed<'_>,
    ring: &Ring,
    now: Moment,
) -> Result<GoodSignature, GeneratorError> {
    let issuer = issuer(signature);
    let candidates: Vec<_> = ring
        .allowed()
        .filter(|(certificate, part, _)| may_be_by(signature, certificate, *part))
        .take(MAX_CANDIDATES)
        .collect();
    let mut fault = Distrust::UnknownKey.because(format!(
        "{issuer} is not among the keys that may sign ({})",
        keys_of(ring)
    ));
    for (certificate, part, fingerprint) in candidates {
        match judge_by(signature, signed, certificate, part, now) {
            Ok(made) => {
                return Ok(GoodSignature {
                    fingerprint,
                    primary: certificate.fingerprint(),
                    made,
                });
            }
            Err(GeneratorError::Untrusted(found)) if found.reason >= fault.reason => {
                fault = Rejection {
                    message: format!("{fingerprint}: {}", found.message),
                    ..found
                };
            }
            Err(GeneratorError::Untrusted(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Err(fault.into())
}

/// Judges one signature with one key; answers when it was made.
fn judge_by(
    signature: &Signature,
    signed: &Signed<'_>,
    certificate: &Certificate,
    part: Part,
    now: Moment,
) -> Result<u64, GeneratorError> {
    if !matches!(
        signature.version(),
        SignatureVersion::V4 | SignatureVersion::V6
    ) {
        return Err(Distrust::Weak
            .because("signatures of this version are obsolete")
            .into());
    }
    match (signed, signature.typ()) {
        (_, Some(SignatureType::Text)) | (Signed::Content(_), Some(SignatureType::Binary)) => {}
        _ => {
            return Err(Distrust::Bad
                .because("the signature is of another kind than this message needs")
                .into());
        }
    }
    let digest = signature.hash_alg().unwrap_or(HashAlgorithm::None);
    if !matches!(
        digest,
        HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    ) {
        return Err(Distrust::Weak
            .because(format!(
                "the signature relies on {digest}, which can be forged: SHA-256 or better is needed"
            ))
            .into());
    }
    let fits = match part {
        Part::Primary => signed.fits(signature, &certificate.primary)?,
        Part::Subkey(index) => signed.fits(signature, &certificate.subkeys[index].0)?,
    };
    if !fits {
        return Err(Distrust::Bad
            .because("the signature does not fit the signed bytes: they were changed")
            .into());
    }
    let made = signature
        .created()
        .map_or(0, |made| u64::from(made.as_secs()));
    let born = match part {
        Part::Primary => certificate.primary.created_at(),
        Part::Subkey(index) => certificate.subkeys[index].0.created_at(),
    };
    if made < u64::from(born.as_secs()) {
        return Err(Distrust::Bad
            .because("the signature says it is older than its key")
            .into());
    }
    if now.precedes(made) {
        return Err(Distrust::FromTheFuture
            .because(format!(
                "the signature says it was made at {}, and now is {now}: one of the two clocks is wrong",
                Moment(made)
            ))
            .into());
    }
    certificate.judge(part, now)?;
    if run_out(signature, made, now) {
        return Err(Distrust::Expired
            .because(format!("the signature of {} has run out", Moment(made)))
            .into());
    }
    Ok(made)
}

/// Reads signature packets. Those that cannot be read are left out, which the flag says: another signature may do.
fn read(packets: &[u8]) -> Result<(Vec<Signature>, bool), Rejection> {
    let mut signatures = Vec::new();
    let mut unreadable = false;
    for packet in PacketParser::new(packets) {
        match packet {
            Ok(Packet::Signature(signature)) => signatures.push(signature),
            Ok(Packet::Marker(_) | Packet::Padding(_)) => {}
            Ok(_) => {
                return Err(Distrust::Malformed
                    .because("other packets than signatures stand where the signature belongs"));
            }
            Err(_) => unreadable = true,
        }
        if signatures.len() == MAX_SIGNATURES {
            break;
        }
    }
    Ok((signatures, unreadable))
}

/// The packets of a signature file, armoured or binary.
fn detached_packets(file: &[u8]) -> Result<Vec<u8>, Rejection> {
    if file.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(file.to_vec());
    }
    if file.trim_ascii().is_empty() {
        return Err(Distrust::Missing.because("the signature file is empty"));
    }
    let block = armour::block(file, clearsigned::SIGNATURE)
        .map_err(|why| Distrust::Malformed.because(format!("the signature file: {why}")))?;
    if !block.rest.trim_ascii().is_empty() {
        return Err(Distrust::UnsignedBytes.because("bytes follow the armoured signature"));
    }
    Ok(block.content)
}

/// Whether the signature names this key as its maker. One that names nobody is nobody's.
fn may_be_by(signature: &Signature, certificate: &Certificate, part: Part) -> bool {
    fn named(signature: &Signature, key: &impl KeyDetails) -> bool {
        let prints = signature.issuer_fingerprint();
        if prints.is_empty() {
            let id = key.legacy_key_id();
            signature.issuer_key_id().into_iter().any(|one| *one == id)
        } else {
            let print = key.fingerprint();
            prints.into_iter().any(|one| *one == print)
        }
    }
    match part {
        Part::Primary => named(signature, &certificate.primary),
        Part::Subkey(index) => named(signature, &certificate.subkeys[index].0),
    }
}

/// For people: who a signature says made it.
fn issuer(signature: &Signature) -> String {
    if let Some(print) = signature.issuer_fingerprint().first() {
        return format!("{print:X}");
    }
    match signature.issuer_key_id().first() {
        Some(id) => format!("{id}").to_ascii_uppercase(),
        None => "a key that the signature does not name".into(),
    }
}

/// For people: the keys that may sign.
fn keys_of(ring: &Ring) -> String {
    const SHOWN: usize = 8;
    let mut keys: Vec<String> = ring.allowed().map(|(_, _, key)| key).collect();
    let more = keys.len().saturating_sub(SHOWN);
    keys.truncate(SHOWN);
    match (keys.is_empty(), more) {
        (true, _) => "none of the keyrings' keys is allowed".into(),
        (false, 0) => keys.join(", "),
        (false, more) => format!("{} and {more} more", keys.join(", ")),
    }
}

fn within(blob: &Blob, max: u64, what: &str) -> Result<(), Rejection> {
    if blob.size() > max {
        return Err(Distrust::Malformed.because(format!(
            "{what} of {} bytes; at most {max} are verified",
            blob.size()
        )));
    }
    Ok(())
}

/// A small blob in memory.
fn held(blob: &Blob, max: u64, what: &str) -> Result<bytes::Bytes, GeneratorError> {
    within(blob, max, what)?;
    blob.to_bytes()
        .map_err(GeneratorError::host("reading what is to be verified"))
}

// === impl Signed ===

impl Signed<'_> {
    /// Whether the signature by `key` covers this.
    fn fits(
        &self,
        signature: &Signature,
        key: &(impl pgp::types::VerifyingKey + Serialize),
    ) -> Result<bool, GeneratorError> {
        let content = match self {
            Self::Text(text) => {
                let check = Check::new("text").part(signature).part(key).bytes(text);
                return Ok(check.holds(|| signature.verify(key, *text).is_ok()));
            }
            Self::Content(content) => content,
        };
        let mut watched = Watched {
            from: content.reader(),
            carriage_return: false,
            failed: None,
        };
        let fits = signature.verify(key, &mut watched).is_ok();
        if let Some(error) = watched.failed {
            return Err(GeneratorError::host("reading what is to be verified")(
                error,
            ));
        }
        if fits && watched.carriage_return && signature.typ() == Some(SignatureType::Text) {
            return Err(Distrust::Malformed
                .because("a signature over text does not cover line endings, and this content has carriage returns: sign it as binary")
                .into());
        }
        Ok(fits)
    }
}

// === impl Watched ===

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Ok(count) => {
                self.carriage_return |= buffer[..count].contains(&b'\r');
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.failed = Some(error);
                }
                Err(kind.into())
            }
        }
    }
}

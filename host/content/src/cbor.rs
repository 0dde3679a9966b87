//! Deterministic CBOR (RFC 8949 section 4.2.1): one value, one encoding.
//!
//! [`encode`] sorts map keys; [`decode`] refuses any encoding that [`encode`] would not have produced, so the digest of a document's bytes is
//! the digest of its value.

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nesting deeper than this is refused: no document of ours needs it.
const DEPTH: usize = 32;

/// Why bytes are not a document. They are damaged or foreign; nothing but other bytes helps.
#[derive(Debug, thiserror::Error)]
pub enum CborError {
    #[error("not CBOR of the expected shape: {0}")]
    Shape(String),
    #[error("CBOR is not in its deterministic form (RFC 8949 section 4.2.1)")]
    NotCanonical,
}

/// The one encoding of `value`.
///
/// # Panics
/// When `value` holds a map with keys that cannot be CBOR, which no type of ours does.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut value = Value::serialized(value).expect("our documents are made of CBOR types");
    sort(&mut value);
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// The value that `bytes` encode, when they are its deterministic encoding and nothing follows.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    let value: T = ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH)
        .map_err(|error| CborError::Shape(error.to_string()))?;
    if encode(&value) != bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}

fn sort(value: &mut Value) {
    match value {
        Value::Map(entries) => {
            for (_, item) in entries.iter_mut() {
                sort(item);
            }
            entries.sort_by_cached_key(|(key, _)| {
                let mut bytes = Vec::new();
                ciborium::into_writer(key, &mut bytes).expect("writing to memory cannot fail");
                bytes
            });
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        zeta: u64,
        a: String,
        digest: crate::Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maybe: Option<u32>,
    }

    fn document() -> Document {
        Document {
            zeta: 1 << 40,
            a: "x".into(),
            digest: crate::Digest::of(b""),
            maybe: None,
        }
    }

    #[test]
    fn keys_are_sorted_and_digests_are_byte_strings() {
        let bytes = encode(&document());
        assert_eq!(&bytes[..5], &[0xa3, 0x61, b'a', 0x61, b'x']);
        assert!(bytes.windows(2).any(|pair| pair == [0x58, 32]));
        assert_eq!(decode::<Document>(&bytes).unwrap(), document());
    }

    #[test]
    fn another_encoding_of_the_same_value_is_refused() {
        let mut bytes = encode(&document());
        bytes.push(0);
        assert!(decode::<Document>(&bytes).is_err(), "trailing bytes");
        let mut unsorted = Vec::new();
        ciborium::into_writer(&document(), &mut unsorted).unwrap();
        assert!(matches!(
            decode::<Document>(&unsorted),
            Err(CborError::NotCanonical)
        ));
    }
}

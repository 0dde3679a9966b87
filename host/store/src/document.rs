//! The bytes of a record: JSON with the version of its own shape, `{"v": 1, …}`.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Record, StoreError};

/// A value that is kept as a record. The JSON form must be an object without a key `v`.
pub trait Document: Serialize + DeserializeOwned {
    /// What people call it, in errors: "profile".
    const KIND: &'static str;
    /// The version that this release writes.
    const V: u64 = 1;

    /// Brings the object of version `from` (below [`Self::V`]) forward by one.
    fn upgrade(from: u64, _object: &mut Map<String, Value>) -> Result<(), String> {
        Err(format!("nothing leads on from version {from}"))
    }

    /// The record's bytes.
    ///
    /// # Panics
    /// When `Self` does not serialise to a JSON object, which is a mistake in its type.
    fn encode(&self) -> Bytes {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else {
            panic!("a {} must serialise to an object", Self::KIND);
        };
        let mut object = Map::new();
        object.insert("v".to_owned(), Self::V.into());
        object.extend(fields);
        Value::Object(object).to_string().into()
    }

    /// The value of a record. One of a newer version is refused by name.
    fn decode(record: &Record) -> Result<Self, StoreError> {
        let what = || format!("{} `{}`", Self::KIND, record.key);
        let damaged = |why: String| StoreError::Damaged { what: what(), why };
        let mut object: Map<String, Value> =
            serde_json::from_slice(&record.value).map_err(|error| damaged(error.to_string()))?;
        let mut found = object
            .remove("v")
            .and_then(|v| v.as_u64())
            .ok_or_else(|| damaged("it has no version `v`".to_owned()))?;
        if found > Self::V {
            return Err(StoreError::Newer {
                what: what(),
                found,
                known: Self::V,
            });
        }
        while found < Self::V {
            Self::upgrade(found, &mut object).map_err(damaged)?;
            found += 1;
        }
        serde_json::from_value(Value::Object(object)).map_err(|error| damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::Version;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Cat {
        name: String,
        lives: u8,
    }

    impl Document for Cat {
        const KIND: &'static str = "cat";
        const V: u64 = 2;

        fn upgrade(from: u64, object: &mut Map<String, Value>) -> Result<(), String> {
            assert_eq!(from, 1);
            object.insert("lives".to_owned(), 9.into());
            Ok(())
        }
    }

    fn record(text: &str) -> Record {
        Record {
            key: "cats/tom".into(),
            version: Version(1),
            value: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn a_document_is_read_back_and_says_its_version() {
        let tom = Cat {
            name: "Tom".into(),
            lives: 3,
        };
        let bytes = tom.encode();
        assert_eq!(&bytes[..], br#"{"v":2,"name":"Tom","lives":3}"#);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(Cat::decode(&record(text)).unwrap(), tom);
    }

    #[test]
    fn an_old_version_is_brought_forward_and_a_newer_one_refused_by_name() {
        let old = Cat::decode(&record(r#"{"v":1,"name":"Tom"}"#)).unwrap();
        assert_eq!(old.lives, 9);
        let newer = Cat::decode(&record(r#"{"v":3,"name":"Tom"}"#)).unwrap_err();
        assert!(matches!(newer, StoreError::Newer { found: 3, .. }));
        assert!(newer.to_string().contains("cats/tom"), "{newer}");
        for damaged in ["", "[]", "{}", r#"{"v":2}"#] {
            let refused = Cat::decode(&record(damaged)).unwrap_err();
            assert!(matches!(refused, StoreError::Damaged { .. }), "{damaged}");
        }
    }
}

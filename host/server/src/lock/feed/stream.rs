//! A feed's file, read entry by entry: the tracker has some 80 MB, and only what is about one release stays.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Advisory, Release, osv, tracker};

/// A JSON pointer, and what is wrong there.
pub type Wrong = (String, String);

const EXPECTED: &str = "OSV entries or Debian's security tracker";

/// The advisories of one file.
pub fn read(from: impl Read, release: &Release<'_>) -> Result<Vec<Advisory>, Wrong> {
    let mut file = File {
        release,
        found: Vec::new(),
        wrong: None,
    };
    let mut json = serde_json::Deserializer::from_reader(from);
    let outcome = file.deserialize(&mut json).and_then(|()| json.end());
    match (file.wrong, outcome) {
        (Some(wrong), _) => Err(wrong),
        (None, Err(error)) => {
            let what = format!("it is not JSON as expected: {error}; expected {EXPECTED}");
            Err(("/".into(), what))
        }
        (None, Ok(())) => Ok(file.found),
    }
}

/// What was read so far.
struct File<'a> {
    release: &'a Release<'a>,
    found: Vec<Advisory>,
    wrong: Option<Wrong>,
}

// === impl File ===

impl File<'_> {
    /// Keeps what is wrong, since an error of the parser has no place for it.
    fn keep<E: serde::de::Error>(&mut self, outcome: Result<(), Wrong>) -> Result<(), E> {
        outcome.map_err(|wrong| {
            let error = E::custom(&wrong.1);
            self.wrong = Some(wrong);
            error
        })
    }
}

impl<'de> DeserializeSeed<'de> for &mut File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    /// A list of OSV entries.
    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<Value>()? {
            let read = osv::entry(&entry, &format!("/{index}"), self.release, &mut self.found);
            self.keep(read)?;
            index += 1;
        }
        Ok(())
    }

    /// The tracker's packages, or one OSV entry.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut entry = Map::new();
        let mut packages = false;
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            if tracker::is_package(&value) {
                packages = true;
                let read = tracker::package(&name, &value, self.release, &mut self.found);
                self.keep(read)?;
            } else {
                entry.insert(name, value);
            }
        }
        if packages || entry.is_empty() {
            return Ok(());
        }
        let read = osv::entry(&Value::Object(entry), "", self.release, &mut self.found);
        self.keep(read)
    }
}

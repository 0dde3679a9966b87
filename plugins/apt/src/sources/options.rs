//! The options of an entry, the same in both styles, and what they mean (sources.list(5)).

use std::collections::BTreeMap;

use super::{Source, SourceError};

/// Seconds that a Release may come from the future, unless its entry says otherwise (apt's own default).
const FUTURE: u64 = 10;

/// A key that may sign a Release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// A keyring in the image.
    Path(String),
    /// An armoured key in the entry itself.
    Inline(String),
    /// A key among the image's trusted ones, by its fingerprint in upper-case hex; `exact`: this key or subkey and no other.
    Fingerprint { hex: String, exact: bool },
}

/// Whether indexes are fetched by their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByHash {
    /// Where the Release offers it.
    #[default]
    Offered,
    Never,
    Always,
}

/// An entry's fields as they were written, keys in small letters.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    at: String,
    fields: BTreeMap<String, String>,
}

/// Options that mean nothing here: what they name is never fetched.
const IDLE: [&str; 4] = ["languages", "targets", "pdiffs", "x-repolib-name"];

const KNOWN: [&str; 19] = [
    "types",
    "uris",
    "suites",
    "components",
    "enabled",
    "architectures",
    "signed-by",
    "by-hash",
    "inrelease-path",
    "snapshot",
    "check-valid-until",
    "valid-until-min",
    "valid-until-max",
    "check-date",
    "date-max-future",
    "trusted",
    "allow-insecure",
    "allow-weak",
    "allow-downgrade-to-insecure",
];

// === impl Entry ===

impl Entry {
    pub(super) fn new(at: String) -> Self {
        Self {
            at,
            fields: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), SourceError> {
        if IDLE.contains(&key) {
            return Ok(());
        }
        if !KNOWN.contains(&key) {
            return Err(self.wrong(format!("the option `{key}` is not supported")));
        }
        if self
            .fields
            .insert(key.to_owned(), value.to_owned())
            .is_some()
        {
            return Err(self.wrong(format!("`{key}` stands twice")));
        }
        Ok(())
    }

    /// The source, or none when the entry is disabled or of source packages only.
    pub(super) fn source(self) -> Result<Option<Source>, SourceError> {
        if !self.flag("enabled")?.unwrap_or(true) {
            return Ok(None);
        }
        let types = self.words("types");
        if let Some(other) = types
            .iter()
            .find(|kind| *kind != "deb" && *kind != "deb-src")
        {
            return Err(self.wrong(format!("the type `{other}` is neither `deb` nor `deb-src`")));
        }
        if !types.iter().any(|kind| kind == "deb") {
            return Ok(None);
        }
        for key in [
            "trusted",
            "allow-insecure",
            "allow-weak",
            "allow-downgrade-to-insecure",
        ] {
            if self.flag(key)? == Some(true) {
                return Err(self.wrong(format!(
                    "`{key}` asks for unsigned or weakly signed packages, which are never used: sign the repository and name its key in Signed-By"
                )));
            }
        }
        let uris = self
            .words("uris")
            .iter()
            .map(|uri| self.uri(uri))
            .collect::<Result<Vec<_>, _>>()?;
        let (suites, components) = (self.words("suites"), self.words("components"));
        if uris.is_empty() || suites.is_empty() {
            return Err(self.wrong("an entry needs URIs and Suites".into()));
        }
        for suite in &suites {
            let flat = suite.ends_with('/');
            if flat != components.is_empty() {
                return Err(self.wrong(if flat {
                    format!("`{suite}` is a directory (it ends with `/`), which has no components")
                } else {
                    format!("the suite `{suite}` needs components")
                }));
            }
        }
        for path in suites
            .iter()
            .chain(&components)
            .chain(self.fields.get("inrelease-path"))
        {
            self.below(path)?;
        }
        let by_hash = match self.fields.get("by-hash").map(String::as_str) {
            None => ByHash::Offered,
            Some("force") => ByHash::Always,
            Some(_) if self.flag("by-hash")? == Some(true) => ByHash::Offered,
            Some(_) => ByHash::Never,
        };
        let snapshot = match self.fields.get("snapshot").map(String::as_str) {
            None | Some("disable" | "no") => None,
            Some(time) => Some(self.snapshot(time)?),
        };
        let architectures = self.words("architectures");
        Ok(Some(Source {
            uris,
            suites,
            components,
            architectures: (!architectures.is_empty()).then_some(architectures),
            signed_by: self.signed_by()?,
            by_hash,
            inrelease_path: self.fields.get("inrelease-path").cloned(),
            snapshot,
            check_valid_until: self.flag("check-valid-until")?.unwrap_or(true),
            valid_until_min: self.number("valid-until-min")?,
            valid_until_max: self.number("valid-until-max")?,
            check_date: self.flag("check-date")?.unwrap_or(true),
            date_max_future: self.number("date-max-future")?.unwrap_or(FUTURE),
            at: self.at,
        }))
    }

    fn wrong(&self, what: String) -> SourceError {
        SourceError {
            at: self.at.clone(),
            what,
        }
    }

    fn words(&self, key: &str) -> Vec<String> {
        let value = self.fields.get(key).map_or("", String::as_str);
        value.split_whitespace().map(str::to_owned).collect()
    }

    /// As apt reads booleans.
    fn flag(&self, key: &str) -> Result<Option<bool>, SourceError> {
        match self.fields.get(key).map(String::as_str) {
            None => Ok(None),
            Some("yes" | "true" | "with" | "on" | "enable" | "1") => Ok(Some(true)),
            Some("no" | "false" | "without" | "off" | "disable" | "0") => Ok(Some(false)),
            Some(other) => Err(self.wrong(format!("`{key}: {other}` is neither yes nor no"))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>, SourceError> {
        let Some(text) = self.fields.get(key) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.wrong(format!("`{key}: {text}` is no number of seconds"))),
        }
    }

    fn uri(&self, text: &str) -> Result<String, SourceError> {
        let known = ["http://", "https://", "file:/", "s3://", "gs://", "az://"];
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\[]".contains(&byte);
        if !known.iter().any(|scheme| text.starts_with(scheme)) || !text.bytes().all(plain) {
            return Err(self.wrong(format!(
                "`{text}` is no address of a repository: expected http:, https:, file: or a bucket, without credentials, query or fragment"
            )));
        }
        Ok(format!("{}/", text.trim_end_matches('/')))
    }

    /// A path inside the repository.
    fn below(&self, path: &str) -> Result<(), SourceError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./+~_-:".contains(&byte);
        let whole = path.trim_end_matches('/');
        let leaves = whole.split('/').any(|part| part == ".." || part.is_empty());
        if whole.is_empty() || leaves || !path.bytes().all(plain) {
            return Err(self.wrong(format!("`{path}` is no path inside a repository")));
        }
        Ok(())
    }

    fn snapshot(&self, time: &str) -> Result<String, SourceError> {
        let shape = |(index, byte): (usize, u8)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        };
        if time.len() == 16 && time.bytes().enumerate().all(shape) {
            Ok(time.to_owned())
        } else {
            Err(self.wrong(format!(
                "`{time}` names no snapshot: expected a time such as 20260909T000000Z"
            )))
        }
    }

    fn signed_by(&self) -> Result<Vec<SignedBy>, SourceError> {
        let Some(value) = self.fields.get("signed-by") else {
            return Ok(Vec::new());
        };
        if value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            return Ok(vec![SignedBy::Inline(format!("{}\n", value.trim()))]);
        }
        let words = value
            .split([' ', ',', '\n'])
            .filter(|word| !word.is_empty());
        words
            .map(|word| {
                let bare = word.trim_end_matches('!');
                let hex = bare.len() == 40 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
                if word.starts_with('/') {
                    Ok(SignedBy::Path(word.to_owned()))
                } else if hex {
                    Ok(SignedBy::Fingerprint {
                        hex: bare.to_ascii_uppercase(),
                        exact: bare.len() < word.len(),
                    })
                } else {
                    Err(self.wrong(format!(
                        "`{word}` in Signed-By is neither a path nor a fingerprint of 40 hex digits"
                    )))
                }
            })
            .collect()
    }
}

//! What is asked for, in apt's words: `name`, `name=version` (globs: `15*`), `name/suite`, each with `:arch`, and `name-` to keep away.

use std::fmt;

use crate::relation;
use crate::{Error, Result};

/// One package that is asked for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Its architecture; none: the native one, or the one that has it.
    pub architecture: Option<String>,
    /// Which version.
    pub version: Wanted,
    /// It is to be kept away, and removed where it is installed.
    pub remove: bool,
}

/// Which version is asked for.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Wanted {
    /// The candidate, as pins have it.
    #[default]
    Candidate,
    /// This version; may be a glob.
    Version(String),
    /// The newest of this suite, codename or release version; dependencies follow there where they must.
    Suite(String),
}

// === impl Request ===

impl Request {
    /// Reads a request.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = |expected| Err(Error::malformed("package request", text, expected));
        let (rest, version) = if let Some((name, version)) = text.split_once('=') {
            (name, Wanted::Version(version.to_owned()))
        } else if let Some((name, suite)) = text.split_once('/') {
            (name, Wanted::Suite(suite.to_owned()))
        } else {
            (text, Wanted::Candidate)
        };
        match &version {
            Wanted::Version(value) | Wanted::Suite(value)
                if value.is_empty()
                    || !value.bytes().all(|c| c.is_ascii_graphic() && c != b'=') =>
            {
                return fail("followed by a version after = or a suite after /");
            }
            _ => {}
        }
        let (rest, remove) = match rest.strip_suffix('-') {
            Some(rest) if version == Wanted::Candidate => (rest, true),
            _ => (rest, false),
        };
        let (name, architecture) = match rest.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (rest, None),
        };
        if !relation::is_name(name) || !architecture.as_deref().is_none_or(relation::is_name) {
            return fail(
                "a package's name, with =version, /suite or :architecture at most, or - at its end",
            );
        }
        Ok(Self {
            name: name.to_owned(),
            architecture,
            version,
            remove,
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        match &self.version {
            Wanted::Candidate => {}
            Wanted::Version(version) => write!(f, "={version}")?,
            Wanted::Suite(suite) => write!(f, "/{suite}")?,
        }
        if self.remove {
            f.write_str("-")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for text in [
            "nginx",
            "g++",
            "postgresql=15*",
            "a/bookworm-backports",
            "libc6:i386=2.36-9",
            "exim4-",
            "x:i386-",
        ] {
            assert_eq!(Request::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_asks_for_nothing_is_refused() {
        for bad in ["", "-", "a=", "a/", "a:", "a b", "=1", "a=1=2", "Ä"] {
            assert!(Request::parse(bad).is_err(), "{bad:?}");
        }
    }
}

//! Relations between packages (Debian Policy 7.1, deb-control(5)): groups of alternatives, version constraints, architecture qualifiers.
//!
//! Grammar: `name[:arch] [(op version)] | …, …`. The obsolete operators `<` and `>` mean `<=` and `>=`. Restrictions of source packages
//! (`[arch]`, `<profile>`) are refused: no binary package has them.

use std::cmp::Ordering;
use std::fmt;

use crate::version;
use crate::{Error, Result};

/// How a version must stand to a relation's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Operator {
    /// `<<`
    Earlier = 1,
    /// `<=`
    AtMost = 2,
    /// `=`
    Exactly = 3,
    /// `>=`
    AtLeast = 4,
    /// `>>`
    Later = 5,
}

/// Which architecture of a package is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Qualifier<'a> {
    /// Nothing is said: that of the package that has the relation, or any of one that is `Multi-Arch: foreign`.
    Implicit,
    /// `:any`
    Any,
    /// `:native`
    Native,
    /// `:amd64`
    Architecture(&'a str),
}

/// One alternative.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Atom<'a> {
    /// The package, real or virtual.
    pub name: &'a str,
    /// Its architecture.
    pub qualifier: Qualifier<'a>,
    /// Its version.
    pub constraint: Option<(Operator, &'a str)>,
}

/// The groups of a field: each is alternatives, in order. An empty field has none.
pub fn parse(text: &str) -> Result<Vec<Vec<Atom<'_>>>> {
    let mut groups = Vec::new();
    for group in text.split(',') {
        if group.trim().is_empty() {
            // Trailing commas are found in real archives, and dpkg takes them.
            continue;
        }
        groups.push(self::group(group)?);
    }
    Ok(groups)
}

/// The alternatives of one group.
pub fn group(text: &str) -> Result<Vec<Atom<'_>>> {
    text.split('|').map(atom).collect()
}

/// One alternative by itself.
pub fn atom(text: &str) -> Result<Atom<'_>> {
    let text = text.trim();
    let fail = |expected| Err(Error::malformed("relation", text, expected));
    let (name, constraint) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => match rest.split_once(')') {
            Some((inner, after)) if after.trim().is_empty() => {
                (name.trim_end(), Some(inner.trim()))
            }
            _ => return fail("a relation: the parenthesis does not close at its end"),
        },
    };
    let (name, qualifier) = match name.split_once(':') {
        None => (name, Qualifier::Implicit),
        Some((name, "any")) => (name, Qualifier::Any),
        Some((name, "native")) => (name, Qualifier::Native),
        Some((name, arch)) if is_name(arch) => (name, Qualifier::Architecture(arch)),
        Some(_) => return fail("a relation: the architecture is no name"),
    };
    if !is_name(name) {
        return fail("a relation: the package is no name");
    }
    let constraint = match constraint {
        None => None,
        Some(inner) => {
            let length = inner.bytes().take_while(|c| b"<=>".contains(c)).count();
            let (operator, version) = inner.split_at(length);
            let operator = match operator {
                "<<" => Operator::Earlier,
                "<=" | "<" => Operator::AtMost,
                "=" => Operator::Exactly,
                ">=" | ">" => Operator::AtLeast,
                ">>" => Operator::Later,
                _ => return fail("a relation: its operator is none of << <= = >= >>"),
            };
            let version = version.trim();
            if version.is_empty()
                || version.contains(char::is_whitespace)
                || version.len() > version::MOST_BYTES
            {
                return fail("a relation: its version is empty or no word");
            }
            Some((operator, version))
        }
    };
    Ok(Atom {
        name,
        qualifier,
        constraint,
    })
}

/// That a text can be a package's or an architecture's name. Looser than Policy 5.6.1 (which wants lower case and two characters): what dpkg takes.
pub fn is_name(text: &str) -> bool {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"+-._".contains(&c);
    text.len() <= 255
        && text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(known)
}

// === impl Operator ===

impl Operator {
    /// Whether a version that is so ordered against the relation's meets it.
    pub fn admits(self, ordering: Ordering) -> bool {
        match self {
            Self::Earlier => ordering == Ordering::Less,
            Self::AtMost => ordering != Ordering::Greater,
            Self::Exactly => ordering == Ordering::Equal,
            Self::AtLeast => ordering != Ordering::Less,
            Self::Later => ordering == Ordering::Greater,
        }
    }

    /// The operator with this number in prepared indexes.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [
            Self::Earlier,
            Self::AtMost,
            Self::Exactly,
            Self::AtLeast,
            Self::Later,
        ]
        .into_iter()
        .find(|operator| *operator as u8 == code)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::AtMost => "<=",
            Self::Exactly => "=",
            Self::AtLeast => ">=",
            Self::Later => ">>",
        })
    }
}

// === impl Atom ===

impl Atom<'_> {
    /// Whether a version of the named package meets the constraint.
    pub fn admits(&self, version: &str) -> bool {
        match self.constraint {
            None => true,
            Some((operator, wanted)) => operator.admits(version::compare(version, wanted)),
        }
    }

    /// Whether a package that provides the name, in this version or none, meets the constraint (Policy 7.5: without a version it meets only
    /// what asks for none).
    pub fn admits_provided(&self, version: Option<&str>) -> bool {
        match (self.constraint, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(version)) => self.admits(version),
        }
    }
}

impl fmt::Display for Atom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.qualifier {
            Qualifier::Implicit => {}
            Qualifier::Any => f.write_str(":any")?,
            Qualifier::Native => f.write_str(":native")?,
            Qualifier::Architecture(arch) => write!(f, ":{arch}")?,
        }
        match self.constraint {
            None => Ok(()),
            Some((operator, version)) => write!(f, " ({operator} {version})"),
        }
    }
}

/// A group as it is written: alternatives with bars between.
pub fn write_group(group: &[Atom<'_>]) -> String {
    let atoms: Vec<String> = group.iter().map(Atom::to_string).collect();
    atoms.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_as_they_are_written() {
        let text = "libc6 (>= 2.36), a:any | b:amd64 (<< 1:2-3), c:native";
        let groups = parse(text).unwrap();
        let again: Vec<String> = groups.iter().map(|group| write_group(group)).collect();
        assert_eq!(again.join(", "), text);
        assert_eq!(groups[1].len(), 2);
    }

    #[test]
    fn loose_spelling_is_taken_as_dpkg_takes_it() {
        let groups = parse("a(>=1),b (<2), c (= 1:1) ,\n d,").unwrap();
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[1][0].constraint, Some((Operator::AtMost, "2")));
    }

    #[test]
    fn a_relation_that_is_none_is_refused() {
        for bad in [
            "a (1)",
            "a (>= )",
            "a (>= 1",
            "a b",
            "a:",
            "-a",
            "a (!= 1)",
            "a | | b",
            "a [amd64]",
            "a (= 1 2)",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_versioned_provides_meets_a_versioned_dependency() {
        let atom = atom("x (>= 2)").unwrap();
        assert!(!atom.admits_provided(None));
        assert!(!atom.admits_provided(Some("1")));
        assert!(atom.admits_provided(Some("2")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_relations_or_an_error(text: String) {
            let _ = parse(&text);
        }
    }
}

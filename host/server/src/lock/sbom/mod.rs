//! A lock as a software bill of materials. The same lock gives the same bytes: names come from its digest, times from its repositories.

mod cyclonedx;
mod purl;
mod spdx;

use serde_json::Value;

use super::document::{LockFile, Package};

pub use purl::purl;

/// A format of bills of materials, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.5
    Cyclonedx,
}

/// Time of a bill of materials of a lock whose repositories say none.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

// === impl Format ===

impl Format {
    pub fn write(self, lock: &LockFile) -> Value {
        match self {
            Self::Spdx => spdx::document(lock),
            Self::Cyclonedx => cyclonedx::document(lock),
        }
    }
}

fn created(lock: &LockFile) -> &str {
    lock.date.as_deref().unwrap_or(NO_TIME)
}

/// The package of the lock that brought `package` in, when it is one of the lock's and brought it in by a relation.
fn parent<'a>(lock: &'a LockFile, package: &Package) -> Option<&'a Package> {
    let relation = package.reason.split_once(' ')?.0;
    if !matches!(relation, "depends-of" | "recommends-of") {
        return None;
    }
    let said = package.brought_by()?;
    let (name, architecture) = match said.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (said, None),
    };
    let named = |other: &&Package| other.name == name;
    let wanted = architecture.unwrap_or(&lock.target.architecture);
    let exact = lock
        .packages()
        .filter(named)
        .find(|other| other.architecture == wanted || other.architecture == "all");
    exact.or_else(|| lock.packages().find(named))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::document::tests::{lock, package};
    use super::*;

    fn example() -> LockFile {
        lock(vec![
            package("libc++1", "1:16.0~rc2-1", "depends-of nginx"),
            package("nginx", "1.22.1-9+deb12u1", "requested"),
            package("geoip", "1-1", "recommends-of nginx"),
        ])
    }

    fn text<'a>(value: &'a Value, at: &str) -> &'a str {
        let found = value
            .pointer(at)
            .unwrap_or_else(|| panic!("{at}: {value:#}"));
        found.as_str().unwrap_or_else(|| panic!("{at} is no text"))
    }

    #[test]
    fn spdx_has_every_field_that_2_3_requires() {
        let bill = Format::Spdx.write(&example());
        assert_eq!(text(&bill, "/spdxVersion"), "SPDX-2.3");
        assert_eq!(text(&bill, "/dataLicense"), "CC0-1.0");
        assert_eq!(text(&bill, "/SPDXID"), "SPDXRef-DOCUMENT");
        assert_eq!(text(&bill, "/creationInfo/created"), "2026-11-22T10:00:00Z");
        assert!(text(&bill, "/creationInfo/creators/0").starts_with("Tool: bootsplice-"));
        assert!(text(&bill, "/documentNamespace").starts_with("https://"));
        text(&bill, "/name");
        let mut ids = BTreeSet::from(["SPDXRef-DOCUMENT".to_owned()]);
        let packages = bill["packages"].as_array().unwrap();
        // The image's addition, three packages and their three sources.
        assert_eq!(packages.len(), 7);
        for one in packages {
            let id = text(one, "/SPDXID");
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            assert!(
                id.strip_prefix("SPDXRef-").unwrap().chars().all(plain),
                "{id}"
            );
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            text(one, "/name");
            text(one, "/downloadLocation");
            for sum in one["checksums"].as_array().into_iter().flatten() {
                assert_eq!(text(sum, "/algorithm"), "SHA256");
                assert_eq!(text(sum, "/checksumValue").len(), 64);
            }
        }
        let relations = bill["relationships"].as_array().unwrap();
        for relation in relations {
            assert!(ids.contains(text(relation, "/spdxElementId")), "{relation}");
            assert!(
                ids.contains(text(relation, "/relatedSpdxElement")),
                "{relation}"
            );
        }
        let kinds = |kind: &str| {
            let is = |one: &&Value| one["relationshipType"] == kind;
            relations.iter().filter(is).count()
        };
        assert_eq!(kinds("DESCRIBES"), 1);
        assert_eq!(kinds("CONTAINS"), 3);
        assert_eq!(kinds("GENERATED_FROM"), 3);
        assert_eq!(kinds("DEPENDS_ON"), 1);
        assert_eq!(kinds("OPTIONAL_DEPENDENCY_OF"), 1);
    }

    #[test]
    fn cyclonedx_has_every_field_that_1_5_requires() {
        let bill = Format::Cyclonedx.write(&example());
        assert_eq!(text(&bill, "/bomFormat"), "CycloneDX");
        assert_eq!(text(&bill, "/specVersion"), "1.5");
        assert_eq!(bill["version"], 1);
        let serial = text(&bill, "/serialNumber")
            .strip_prefix("urn:uuid:")
            .unwrap();
        assert!(uuid::Uuid::try_parse(serial).is_ok());
        assert_eq!(text(&bill, "/metadata/timestamp"), "2026-11-22T10:00:00Z");
        let mut refs = BTreeSet::from([text(&bill, "/metadata/component/bom-ref").to_owned()]);
        for one in bill["components"].as_array().unwrap() {
            assert_eq!(text(one, "/type"), "library");
            text(one, "/name");
            assert!(text(one, "/purl").starts_with("pkg:deb/debian/"));
            assert_eq!(text(one, "/hashes/0/alg"), "SHA-256");
            assert!(refs.insert(text(one, "/bom-ref").to_owned()));
        }
        assert_eq!(refs.len(), 4);
        for one in bill["dependencies"].as_array().unwrap() {
            assert!(refs.contains(text(one, "/ref")), "{one}");
            for on in one["dependsOn"].as_array().into_iter().flatten() {
                assert!(refs.contains(on.as_str().unwrap()), "{on}");
            }
        }
    }

    #[test]
    fn the_same_lock_gives_the_same_bill_and_another_lock_another_name() {
        let (one, mut other) = (example(), example());
        other.steps[0].packages.pop();
        for (format, name) in [
            (Format::Spdx, "/documentNamespace"),
            (Format::Cyclonedx, "/serialNumber"),
        ] {
            let bill = format.write(&one);
            assert_eq!(bill.to_string(), format.write(&example()).to_string());
            assert_ne!(text(&bill, name), text(&format.write(&other), name));
        }
    }
}

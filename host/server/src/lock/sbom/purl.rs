//! Package URLs (purl-spec, type `deb`).

use std::fmt::Write as _;

use super::super::document::{LockFile, Package};

/// `pkg:deb/debian/NAME@VERSION?arch=…&distro=…`. The namespace is the origin that vouches for the package, or the image's distribution.
pub fn purl(lock: &LockFile, package: &Package) -> String {
    with_architecture(
        lock,
        package,
        &package.name,
        &package.version,
        &package.architecture,
    )
}

/// That of the source package.
pub fn source(lock: &LockFile, package: &Package) -> String {
    let source = &package.source;
    with_architecture(lock, package, &source.name, &source.version, "source")
}

fn with_architecture(
    lock: &LockFile,
    package: &Package,
    name: &str,
    version: &str,
    architecture: &str,
) -> String {
    let repository = package.repository.as_ref();
    let said = repository.map_or("", |repository| repository.origin.as_str());
    let vendor = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    let namespace = match said {
        said if vendor(said) => said.to_lowercase(),
        _ if !lock.target.distribution.is_empty() => lock.target.distribution.clone(),
        _ => "debian".to_owned(),
    };
    let distro = &lock.target.release;
    let mut text = format!(
        "pkg:deb/{}/{}@{}?arch={}",
        encoded(&namespace),
        encoded(name),
        encoded(version),
        encoded(architecture)
    );
    if !distro.is_empty() {
        let _ = write!(text, "&distro={}", encoded(distro));
    }
    text
}

/// Percent-encoded but for what the specification leaves as it is, `:` among them.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::document::tests::{lock, package};
    use super::*;

    #[test]
    fn names_and_versions_are_encoded_as_the_specification_says() {
        let mut one = package("libstdc++6", "1:12.2.0-14+deb12u1", "requested");
        let lock = lock(Vec::new());
        assert_eq!(
            purl(&lock, &one),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm"
        );
        one.source.name = "gcc-12".into();
        one.repository.as_mut().unwrap().origin = "Google LLC".into();
        assert_eq!(
            source(&lock, &one),
            "pkg:deb/debian/gcc-12@1:12.2.0-14%2Bdeb12u1?arch=source&distro=bookworm"
        );
    }
}

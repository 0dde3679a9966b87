//! The archive that this machine's own apt installs from. The image is made from it, so its packages are too.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Debian's release that images are made of.
pub const RELEASE: &str = "bookworm";

/// The files of this machine's apt configuration that name Debian's release.
pub fn sources() -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    files.retain(|path| {
        let known = path
            .extension()
            .is_some_and(|kind| kind == "list" || kind == "sources");
        known && fs::read_to_string(path).is_ok_and(|text| names_release(&text))
    });
    if files.is_empty() {
        bail!(
            "no file of /etc/apt names a mirror with {RELEASE}: add one, for example to /etc/apt/sources.list"
        );
    }
    Ok(files)
}

/// Addresses of the repositories in those files.
pub fn addresses() -> Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for file in sources()? {
        let text = fs::read_to_string(&file).with_context(|| format!("file {}", file.display()))?;
        found.extend(uris(&text));
    }
    Ok(found.into_iter().collect())
}

/// What lets a host fetch from there, as lines for the top of its configuration and for its end: a mirror in a private
/// network must be named.
pub fn configuration() -> Result<(String, String)> {
    let addresses = addresses()?;
    let mut networks: Vec<String> = addresses.iter().flat_map(|one| resolved(one)).collect();
    networks.sort();
    networks.dedup();
    let mut grants = String::new();
    writeln!(grants, "[[grants]]\nurls = {addresses:?}")?;
    Ok((format!("private_networks = {networks:?}\n"), grants))
}

/// The networks, of one address each, that a repository's host has.
fn resolved(address: &str) -> Vec<String> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Vec::new();
    };
    let host = rest.split('/').next().unwrap_or_default();
    let port = if scheme == "https" { 443 } else { 80 };
    let found = match host.contains(':') {
        true => host.to_socket_addrs().map(Iterator::collect::<Vec<_>>),
        false => (host, port).to_socket_addrs().map(Iterator::collect),
    };
    let ips = found.unwrap_or_default().into_iter().map(|one| one.ip());
    ips.map(|ip| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }))
        .collect()
}

/// The web addresses in a file of either style, comments apart.
fn uris(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    let web = words.filter(|word| word.starts_with("http://") || word.starts_with("https://"));
    web.map(|word| format!("{}/", word.trim_end_matches('/')))
        .collect()
}

/// Whether one of its lines offers the release itself, not a suite of some other archive.
fn names_release(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Suites:") => words.any(|word| word == RELEASE),
            Some("deb") => words.any(|word| word == RELEASE),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_sources_of_other_archives_are_left_out() {
        assert!(names_release(
            "deb http://mirror.example/debian bookworm main\n"
        ));
        assert!(names_release(
            "Types: deb\nSuites: bookworm bookworm-updates\n"
        ));
        assert!(!names_release("Types: deb\nSuites: bookworm-backports\n"));
        assert!(!names_release(
            "# deb http://mirror.example/debian bookworm main\n"
        ));
        assert!(!names_release(
            "deb http://mirror.example/node nodistro main\n"
        ));
    }

    #[test]
    fn addresses_are_found_in_both_styles() {
        let text = "# deb http://old.example/debian bookworm main\nTypes: deb\nURIs: http://mirror.example/debian https://two.example/debian/\ndeb [signed-by=/a] http://three.example/debian bookworm main\n";
        let expected = [
            "http://mirror.example/debian/",
            "https://two.example/debian/",
            "http://three.example/debian/",
        ];
        assert_eq!(uris(text), expected);
    }
}

//! What apt(8) of the image goes by, kept beside the inventory: sources, keyrings, preferences, marks.

use std::path::Path;

use ext4_view::{Ext4, FileType};

/// Single files.
const FILES: [&str; 6] = [
    "/etc/apt/sources.list",
    "/etc/apt/preferences",
    "/etc/apt/apt.conf",
    "/etc/apt/trusted.gpg",
    "/var/lib/apt/extended_states",
    "/var/lib/dpkg/arch",
];

/// Directories with the endings of the files in them that apt reads (sources.list(5), apt_preferences(5), apt.conf(5), apt-secure(8)).
const DIRECTORIES: [(&str, &[&str]); 6] = [
    ("/etc/apt/sources.list.d", &["list", "sources"]),
    ("/etc/apt/preferences.d", &["", "pref"]),
    ("/etc/apt/apt.conf.d", &["", "conf"]),
    ("/etc/apt/trusted.gpg.d", &["gpg", "asc"]),
    ("/etc/apt/keyrings", &["gpg", "asc"]),
    ("/usr/share/keyrings", &["gpg", "asc", "pgp"]),
];

/// Entries of one directory that are looked at.
const MOST_ENTRIES: usize = 256;

/// Paths of the files that are there, in order. Their sizes are for the caller to bound.
pub(crate) fn paths(root: &Ext4) -> Vec<String> {
    let mut found: Vec<String> = FILES
        .iter()
        .filter(|path| is_file(root, path))
        .map(|path| (*path).to_owned())
        .collect();
    for (directory, endings) in DIRECTORIES {
        let Ok(entries) = root.read_dir(directory) else {
            continue;
        };
        for entry in entries.take(MOST_ENTRIES).flatten() {
            let name = entry.file_name();
            let Ok(name) = name.as_str() else {
                continue;
            };
            let path = format!("{directory}/{name}");
            if is_read(name, endings) && is_file(root, &path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// As in an image, the paths below a directory of this machine.
pub fn apt_files(root: &Path) -> Vec<String> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let mut found: Vec<String> = FILES
        .iter()
        .filter(|path| below(path).is_file())
        .map(|path| (*path).to_owned())
        .collect();
    for (directory, endings) in DIRECTORIES {
        let entries = std::fs::read_dir(below(directory));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                continue;
            };
            if is_read(name, endings) && entry.path().is_file() {
                found.push(format!("{directory}/{name}"));
            }
        }
    }
    found.sort();
    found
}

/// apt passes over hidden files and other endings.
fn is_read(name: &str, endings: &[&str]) -> bool {
    let ending = match name.rsplit_once('.') {
        Some(("", _)) => return false,
        Some((_, ending)) => ending,
        None => "",
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    endings.contains(&ending) && name.bytes().all(plain)
}

fn is_file(root: &Ext4, path: &str) -> bool {
    root.metadata(path)
        .is_ok_and(|meta| meta.file_type() == FileType::Regular)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_apt_reads_is_kept() {
        assert!(is_read("debian.sources", &["list", "sources"]));
        assert!(is_read("99local", &["", "conf"]));
        assert!(!is_read("debian.sources.bak", &["list", "sources"]));
        assert!(!is_read(".hidden", &["", "list"]));
        assert!(!is_read("a b.list", &["list"]));
        assert!(!is_read("a\u{301}.list", &["list"]));
    }
}

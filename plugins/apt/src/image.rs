//! What the image's own apt goes by, as it was read at import: installed packages, sources, keys, pins, settings.

use bootsplice_sdk::inventory;
use bootsplice_sdk::prelude::*;

use crate::sources::{self, Source, SourceError};

/// Largest file that is read into memory: dpkg's status of some 10,000 packages.
const MAX_FILE: usize = 64 << 20;

/// The image's files, by name or path.
pub struct Image {
    paths: Vec<String>,
}

// === impl Image ===

impl Image {
    pub fn open() -> Self {
        let mut paths = inventory::list_files();
        paths.sort();
        Self { paths }
    }

    /// dpkg's status. Without it no closure is right.
    pub fn status(&self) -> Result<Vec<u8>, Error> {
        self.read("dpkg-status")?.ok_or_else(|| {
            let at = Pointer::root().key("packages");
            let finding = Diagnostic::error(
                at,
                "no-package-database",
                "the image has no /var/lib/dpkg/status: what it lacks cannot be told",
            );
            Error::InvalidConfig(vec![finding.with_hint(
                "use a Debian image, and import it again if it was imported before its root could be read",
            )])
        })
    }

    /// Which packages were installed for others (`apt-mark`).
    pub fn extended_states(&self) -> Result<Vec<u8>, Error> {
        Ok(self
            .read("/var/lib/apt/extended_states")?
            .unwrap_or_default())
    }

    /// Architectures besides its own.
    pub fn foreign_architectures(&self) -> Result<Vec<String>, Error> {
        let text = self.text("/var/lib/dpkg/arch")?;
        let mut found: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        // The first line is its own where the file is there at all.
        found.dedup();
        Ok(found)
    }

    /// The entries of its sources.list and of the files beside it.
    pub fn sources(&self) -> Result<Result<Vec<Source>, Vec<SourceError>>, Error> {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for path in self.below("/etc/apt/sources.list") {
            match sources::parse(&self.text(path)?, path, path.ends_with(".sources")) {
                Ok(found) => all.extend(found),
                Err(found) => errors.extend(found),
            }
        }
        Ok(if errors.is_empty() {
            Ok(all)
        } else {
            Err(errors)
        })
    }

    /// Its pins, in the order that apt reads them.
    pub fn preferences(&self) -> Result<String, Error> {
        let mut text = String::new();
        for path in self.below("/etc/apt/preferences") {
            text.push_str(&self.text(path)?);
            text.push_str("\n\n");
        }
        Ok(text)
    }

    /// `APT::Install-Recommends`; true where nothing is said, as apt has it.
    pub fn recommends(&self) -> Result<bool, Error> {
        let mut recommends = true;
        for path in self.below("/etc/apt/apt.conf") {
            if let Some(said) = last_setting(&self.text(path)?, "APT::Install-Recommends") {
                recommends = matches!(
                    said.as_str(),
                    "yes" | "true" | "with" | "on" | "enable" | "1"
                );
            }
        }
        Ok(recommends)
    }

    /// The keys that may sign where an entry names none.
    pub fn trusted_keys(&self) -> Result<Vec<Vec<u8>>, Error> {
        let paths: Vec<&str> = self.below("/etc/apt/trusted.gpg").collect();
        paths
            .into_iter()
            .filter_map(|path| self.read(path).transpose())
            .collect()
    }

    /// A keyring by its path.
    pub fn keyring(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(path)
    }

    /// The file `start` and those in the directory `start.d`, the file first.
    fn below(&self, start: &str) -> impl Iterator<Item = &str> {
        let directory = format!("{start}.d/");
        self.paths
            .iter()
            .map(String::as_str)
            .filter(move |path| *path == start || path.starts_with(&directory))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn text(&self, path: &str) -> Result<String, Error> {
        let bytes = self.read(path)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        inventory::read_file(path)
            .map(|blob| blob.bytes(MAX_FILE))
            .transpose()
    }
}

/// The last value of a setting in apt.conf(5): `A::B "value";`, or in scopes `A { B "value"; };`. Comments begin with `//` or `#`.
fn last_setting(text: &str, wanted: &str) -> Option<String> {
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut found = None;
    for token in tokens(text) {
        match token.as_str() {
            "{" => scopes.push(words.drain(..).next().unwrap_or_default()),
            "}" => {
                scopes.pop();
                words.clear();
            }
            ";" => {
                if let [name, value] = words.as_slice() {
                    let path = scopes.iter().chain([name]).map(String::as_str);
                    let full = path.collect::<Vec<_>>().join("::");
                    if full.eq_ignore_ascii_case(wanted) {
                        found = Some(value.clone());
                    }
                }
                words.clear();
            }
            _ => words.push(token),
        }
    }
    found
}

fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            if first == '#' || rest.starts_with("//") {
                break;
            }
            let (token, after) = match first {
                '{' | '}' | ';' => rest.split_at(1),
                '"' => {
                    let inside = &rest[1..];
                    inside
                        .split_once('"')
                        .map_or((inside, ""), |(value, after)| (value, after))
                }
                _ => {
                    let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c));
                    rest.split_at(end.unwrap_or(rest.len()))
                }
            };
            found.push(token.to_owned());
            rest = after.trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_in_both_forms_and_the_last_one_counts() {
        let name = "APT::Install-Recommends";
        assert_eq!(
            last_setting("APT::Install-Recommends \"0\";", name).as_deref(),
            Some("0")
        );
        let scoped = "APT { Get { Assume-Yes \"true\"; }; Install-Recommends \"false\"; }; // x\n";
        assert_eq!(last_setting(scoped, name).as_deref(), Some("false"));
        let twice = "apt::install-recommends 1;\n# APT::Install-Recommends 1;\nAPT::Install-Recommends no;\n";
        assert_eq!(last_setting(twice, name).as_deref(), Some("no"));
        assert_eq!(last_setting("APT::Install-Suggests \"1\";", name), None);
    }
}

//! A repository's Release file: what it is, when it was made, and which indexes it vouches for (Debian Repository Format, "Release files").

use std::collections::BTreeMap;

use crate::date;

/// A Release file, after its signature was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    pub origin: String,
    pub label: String,
    pub suite: String,
    pub codename: String,
    pub version: String,
    /// Seconds since 1970.
    pub date: u64,
    pub valid_until: Option<u64>,
    pub by_hash: bool,
    /// Priority 1 unless pinned.
    pub not_automatic: bool,
    /// With `not_automatic`: priority 100.
    pub but_automatic_upgrades: bool,
    pub architectures: Vec<String>,
    pub components: Vec<String>,
    /// `Packages`: the indexes of an architecture hold `Architecture: all` too.
    pub no_support_for_all: bool,
    /// Where snapshots of this repository lie, with `@SNAPSHOTID@` for the time.
    pub snapshots: Option<String>,
    /// By path below the Release.
    pub files: BTreeMap<String, Listed>,
}

/// One index as the Release knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    pub size: u64,
}

/// Largest Release that is read, in bytes. Debian's has 200 KB.
pub const MAX_SIZE: usize = 16 << 20;
/// Most indexes in one.
const MOST_FILES: usize = 100_000;

// === impl Release ===

impl Release {
    /// Reads the signed text. MD5Sum and SHA1 are passed over; without SHA256 nothing is vouched for.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut release = Self::default();
        let mut dated = false;
        let mut field = "";
        for line in text.lines() {
            if let Some(more) = line.strip_prefix([' ', '\t']) {
                if field.eq_ignore_ascii_case("SHA256") {
                    release.list(more)?;
                }
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| format!("`{}` is no `Field: value`", shortened(line)))?;
            field = key;
            let value = value.trim();
            let words = || value.split_whitespace().map(str::to_owned).collect();
            let yes = value.eq_ignore_ascii_case("yes");
            match key.to_ascii_lowercase().as_str() {
                "origin" => release.origin = value.to_owned(),
                "label" => release.label = value.to_owned(),
                "suite" => release.suite = value.to_owned(),
                "codename" => release.codename = value.to_owned(),
                "version" => release.version = value.to_owned(),
                "date" => {
                    dated = true;
                    release.date = date::parse(value).ok_or_else(|| bad_date(key, value))?;
                }
                "valid-until" => {
                    let until = date::parse(value).ok_or_else(|| bad_date(key, value))?;
                    release.valid_until = Some(until);
                }
                "acquire-by-hash" => release.by_hash = yes,
                "notautomatic" => release.not_automatic = yes,
                "butautomaticupgrades" => release.but_automatic_upgrades = yes,
                "architectures" => release.architectures = words(),
                "components" => release.components = words(),
                "no-support-for-architecture-all" => {
                    release.no_support_for_all = value == "Packages";
                }
                "snapshots" => release.snapshots = (value != "no").then(|| value.to_owned()),
                _ => {}
            }
        }
        if !dated {
            return Err("it has no Date".into());
        }
        if release.files.is_empty() {
            return Err("it lists no file by SHA256; weaker digests are not trusted".into());
        }
        Ok(release)
    }

    fn list(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("`{}` is no digest, size and path", shortened(line)));
        };
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("`{}` is no SHA-256 digest", shortened(digest)));
        }
        let size = size
            .parse()
            .map_err(|_| format!("`{}` is no size", shortened(size)))?;
        let listed = Listed {
            digest: format!("sha256:{}", digest.to_ascii_lowercase()),
            size,
        };
        if self.files.len() >= MOST_FILES {
            return Err(format!("it lists more than {MOST_FILES} files"));
        }
        match self.files.insert(path.to_owned(), listed.clone()) {
            Some(other) if other != listed => Err(format!("`{}` stands twice", shortened(path))),
            _ => Ok(()),
        }
    }

    /// The priority of its packages where no pin speaks (apt_preferences(5)).
    pub fn priority(&self) -> i32 {
        match (self.not_automatic, self.but_automatic_upgrades) {
            (true, true) => 100,
            (true, false) => 1,
            (false, _) => 500,
        }
    }

    /// Whether it is what an entry calls `suite`.
    pub fn is_called(&self, suite: &str) -> bool {
        let suite = suite.trim_end_matches('/');
        let names = [self.suite.as_str(), self.codename.as_str()];
        // The Release of `bookworm/updates` in the old style, and of `bookworm-security`, says one or the other.
        names.iter().any(|name| {
            !name.is_empty()
                && (*name == suite
                    || suite
                        .strip_suffix("/updates")
                        .is_some_and(|base| *name == base)
                    || name
                        .strip_suffix("/updates")
                        .is_some_and(|base| base == suite))
        })
    }
}

fn bad_date(key: &str, value: &str) -> String {
    format!(
        "{key} `{}` is no date such as `Sat, 12 Sep 2026 10:14:18 UTC`",
        shortened(value)
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "c4c2ab4bd31dc7a1cf2f4ea7ed5fb4df4be4b0b0df85d8e6d5b0bfe7a6c4c2ab";

    fn text(extra: &str) -> String {
        format!(
            "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 12 Sep 2026 10:14:18 UTC\n\
             Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: all amd64\nComponents: main contrib\n\
             {extra}MD5Sum:\n 0 0 main/x\nSHA256:\n {DIGEST} 12 main/binary-amd64/Packages.gz\n"
        )
    }

    #[test]
    fn a_release_tells_what_it_is_and_vouches_for() {
        let release = Release::parse(&text("")).unwrap();
        assert_eq!(release.date, 1_789_208_058);
        assert!(release.by_hash && release.no_support_for_all);
        assert_eq!(release.files.len(), 1);
        assert_eq!(
            release.files["main/binary-amd64/Packages.gz"],
            Listed {
                digest: format!("sha256:{DIGEST}"),
                size: 12
            }
        );
        assert!(release.is_called("bookworm") && release.is_called("oldstable"));
        assert!(!release.is_called("trixie"));
        assert_eq!(release.priority(), 500);
        let backports = Release::parse(&text("NotAutomatic: yes\nButAutomaticUpgrades: yes\n"));
        assert_eq!(backports.unwrap().priority(), 100);
    }

    #[test]
    fn what_vouches_for_nothing_or_twice_is_refused() {
        for (bad, word) in [
            (text("").replace("SHA256", "SHA1"), "SHA256"),
            (text("").replace("Date: ", "Dated: "), "no Date"),
            (text("").replace("12 Sep", "31 Feb"), "no date"),
            (text("").replace(" 12 main", " twelve main"), "no size"),
            (text("").replace(DIGEST, "abc"), "no SHA-256"),
            (
                format!("{} {} 13 main/binary-amd64/Packages.gz\n", text(""), DIGEST),
                "twice",
            ),
        ] {
            let error = Release::parse(&bad).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}

//! One suite of one source: where its files lie, and whether its Release may be used.

use bootsplice_sdk::blobs::Codec;
use bootsplice_sdk::prelude::*;

use crate::release::{Listed, Release};
use crate::sources::{ByHash, Source};
use crate::state::Repository;

/// A suite to be fetched.
#[derive(Clone, Debug)]
pub struct Suite<'a> {
    pub source: &'a Source,
    /// As the entry calls it.
    pub name: &'a str,
    /// Directories with its Release, one a mirror; each ends with `/`.
    pub bases: Vec<String>,
    /// What Filename in its indexes is relative to, one a mirror.
    pub roots: Vec<String>,
}

/// An index that a Release vouches for, in the form that is cheapest to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Path of the text without compression, below the Release.
    pub path: String,
    /// Path of what is fetched.
    pub packed_path: String,
    pub packed: Listed,
    pub codec: Option<Codec>,
    /// The text itself, where the Release lists it.
    pub plain: Option<Listed>,
}

/// Addresses that one fetch may name.
const MOST_URLS: usize = 16;

/// A Release that may not be used: a stable code, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub what: String,
    pub hint: &'static str,
}

// === impl Suite ===

impl<'a> Suite<'a> {
    /// The suite at its mirrors, or, with a time, at the servers of its snapshots: `template` has `@SNAPSHOTID@` in it.
    pub fn new(source: &'a Source, name: &'a str, snapshot: Option<(&str, &str)>) -> Self {
        let roots: Vec<String> = match snapshot {
            None => source.uris.clone(),
            Some((time, template)) => {
                let root = template.replace("@SNAPSHOTID@", time);
                vec![format!("{}/", root.trim_end_matches('/'))]
            }
        };
        let bases = roots
            .iter()
            .map(|root| match name.strip_suffix('/') {
                // A flat repository: the Release lies beside the packages.
                Some(".") => root.clone(),
                Some(path) => format!("{root}{}/", path.trim_start_matches("./")),
                None => format!("{root}dists/{name}/"),
            })
            .collect();
        Self {
            source,
            name,
            bases,
            roots,
        }
    }

    pub fn is_flat(&self) -> bool {
        self.name.ends_with('/')
    }

    /// The addresses of a file beside the Release.
    pub fn urls(&self, path: &str) -> Vec<String> {
        self.bases
            .iter()
            .map(|base| format!("{base}{path}"))
            .collect()
    }

    /// The addresses of an index: by its digest where that is offered, and behind those, for mirrors that offer it and do not
    /// have it, by its name; what comes is held against the digest anyway.
    pub fn index_urls(&self, release: &Release, index: &Index) -> Vec<String> {
        let by_hash = match self.source.by_hash {
            ByHash::Offered => release.by_hash,
            ByHash::Never => false,
            ByHash::Always => true,
        };
        if !by_hash {
            return self.urls(&index.packed_path);
        }
        let directory = match index.packed_path.rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/"),
            None => String::new(),
        };
        let hex = index.packed.digest.trim_start_matches("sha256:");
        let mut urls = self.urls(&format!("{directory}by-hash/SHA256/{hex}"));
        if self.source.by_hash == ByHash::Offered {
            urls.extend(self.urls(&index.packed_path));
            urls.truncate(MOST_URLS);
        }
        urls
    }

    /// The indexes of packages for `architecture`, one a component, and those of `all` where they are apart.
    pub fn indexes(&self, release: &Release, architecture: &str) -> Result<Vec<Index>, Refusal> {
        if self.is_flat() {
            return Ok(vec![
                index(release, "Packages").ok_or_else(|| self.missing("Packages", release))?,
            ]);
        }
        let mut found = Vec::new();
        for component in &self.source.components {
            // `bookworm-security` calls its component `updates/main` in old releases.
            let path = |architecture: &str| format!("{component}/binary-{architecture}/Packages");
            let own = index(release, &path(architecture))
                .ok_or_else(|| self.missing(&path(architecture), release))?;
            found.push(own);
            let apart = !release.no_support_for_all
                && release.architectures.iter().any(|known| known == "all");
            if apart && architecture != "all" {
                found.extend(index(release, &path("all")));
            }
        }
        Ok(found)
    }

    fn missing(&self, path: &str, release: &Release) -> Refusal {
        Refusal {
            code: "no-such-index",
            what: format!(
                "{} has no `{path}`; its components are [{}], its architectures [{}]",
                self.title(),
                release.components.join(" "),
                release.architectures.join(" ")
            ),
            hint: "check component and architecture of the entry",
        }
    }

    /// Whether a signed Release may be used at `now` (apt-secure(8)); `last` is what the last lock saw of it.
    pub fn judge(
        &self,
        release: &Release,
        now: u64,
        last: Option<&Repository>,
        accept_changes: bool,
    ) -> Result<(), Refusal> {
        let title = self.title();
        let source = self.source;
        let refuse = |code, what, hint| Err(Refusal { code, what, hint });
        if source.check_date && release.date > now.saturating_add(source.date_max_future) {
            let ahead = release.date - now;
            let what = format!("the Release of {title} is from the future, by {ahead} s");
            return refuse(
                "release-from-future",
                what,
                "check the clocks, or set Date-Max-Future in the entry",
            );
        }
        if source.check_valid_until && self.source.snapshot.is_none() {
            let most = source
                .valid_until_max
                .map(|most| release.date.saturating_add(most));
            let least = source
                .valid_until_min
                .map(|least| release.date.saturating_add(least));
            let until = match (release.valid_until, most) {
                (Some(until), Some(most)) => Some(until.min(most)),
                (until, most) => until.or(most),
            };
            let until = until.map(|until| until.max(least.unwrap_or(0)));
            if let Some(until) = until.filter(|until| now > *until) {
                let what = format!(
                    "the Release of {title} expired {} s ago: its mirror is out of date, or somebody replays an old one",
                    now - until
                );
                return refuse(
                    "release-expired",
                    what,
                    "use another mirror, or set Check-Valid-Until: no in the entry",
                );
            }
        }
        if !self.is_flat() && !release.is_called(self.name) {
            let what = format!(
                "the Release of {title} says that it is `{}`, `{}`",
                release.suite, release.codename
            );
            return refuse(
                "release-is-another",
                what,
                "name the suite as its Release does",
            );
        }
        if let Some(last) = last.filter(|_| !accept_changes) {
            for (word, was, is) in [
                ("Origin", &last.origin, &release.origin),
                ("Label", &last.label, &release.label),
                ("Suite", &last.suite, &release.suite),
                ("Codename", &last.codename, &release.codename),
            ] {
                if was != is {
                    let what =
                        format!("the Release of {title} changed its {word} from `{was}` to `{is}`");
                    return refuse(
                        "release-changed",
                        what,
                        "if that is right, set `accept_release_changes: true` once",
                    );
                }
            }
        }
        Ok(())
    }

    /// For people: `http://deb.example.org/debian/ bookworm`.
    pub fn title(&self) -> String {
        let root = self.roots.first().map_or("", String::as_str);
        format!("{root} {}", self.name)
    }
}

// === impl Refusal ===

impl Refusal {
    /// As a finding about the sources.
    pub fn into_error(self) -> Error {
        let at = Pointer::root().key("sources");
        let finding = Diagnostic::error(at, self.code, self.what).with_hint(self.hint);
        Error::InvalidConfig(vec![finding])
    }
}

/// The cheapest form of an index, by what decoding costs: gzip, zstd, xz, plain.
fn index(release: &Release, path: &str) -> Option<Index> {
    let forms = [
        (".gz", Some(Codec::Gzip)),
        (".zst", Some(Codec::Zstd)),
        (".xz", Some(Codec::Xz)),
        ("", None),
    ];
    forms.into_iter().find_map(|(ending, codec)| {
        let packed_path = format!("{path}{ending}");
        let packed = release.files.get(&packed_path)?.clone();
        Some(Index {
            path: path.to_owned(),
            packed_path,
            packed,
            codec,
            plain: release.files.get(path).cloned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse;

    const DAY: u64 = 86_400;
    const NOW: u64 = 1_800_000_000;

    fn source(options: &str) -> Source {
        let line = format!("deb {options} http://a.example/debian bookworm main contrib\n");
        parse(&line, "x", false).unwrap().remove(0)
    }

    fn release() -> Release {
        let digest = "0".repeat(64);
        let mut text = String::from(
            "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Fri, 15 Jan 2027 08:00:00 UTC\n\
             Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: all amd64\nSHA256:\n",
        );
        for component in ["main", "contrib"] {
            for ending in ["", ".gz", ".xz"] {
                text += &format!(" {digest} 1 {component}/binary-amd64/Packages{ending}\n");
            }
        }
        Release::parse(&text).unwrap()
    }

    #[test]
    fn indexes_are_fetched_in_their_cheapest_form_by_their_digest() {
        let source = source("");
        let suite = Suite::new(&source, "bookworm", None);
        let release = release();
        let indexes = suite.indexes(&release, "amd64").unwrap();
        assert_eq!(indexes.len(), 2);
        assert_eq!(indexes[0].codec, Some(Codec::Gzip));
        assert_eq!(
            suite.index_urls(&release, &indexes[0]),
            [
                format!(
                    "http://a.example/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/{}",
                    "0".repeat(64)
                ),
                "http://a.example/debian/dists/bookworm/main/binary-amd64/Packages.gz".into()
            ]
        );
        let missing = suite.indexes(&release, "arm64").unwrap_err();
        assert_eq!(missing.code, "no-such-index");
        assert!(missing.what.contains("all amd64"), "{}", missing.what);
    }

    #[test]
    fn a_flat_repository_and_a_snapshot_lie_where_they_should() {
        let flat = parse(
            "deb https://a.example/x ./\ndeb https://a.example/x sub/\n",
            "x",
            false,
        );
        let flat = flat.unwrap();
        assert_eq!(
            Suite::new(&flat[0], "./", None).bases,
            ["https://a.example/x/"]
        );
        assert_eq!(
            Suite::new(&flat[1], "sub/", None).bases,
            ["https://a.example/x/sub/"]
        );
        let source = source("");
        let template = "https://s.example/archive/debian/@SNAPSHOTID@";
        let then = Suite::new(&source, "bookworm", Some(("20260909T000000Z", template)));
        assert_eq!(
            then.bases,
            ["https://s.example/archive/debian/20260909T000000Z/dists/bookworm/"]
        );
    }

    #[test]
    fn every_reason_not_to_use_a_release_has_its_name() {
        let made = release().date;
        let judge = |options: &str, now: u64, change: &dyn Fn(&mut Release)| {
            let source = source(options);
            let mut release = release();
            change(&mut release);
            let last = Repository {
                uri: String::new(),
                name: String::new(),
                origin: "Debian".into(),
                label: "Debian".into(),
                suite: "oldstable".into(),
                codename: "bookworm".into(),
                date: 0,
                signed_by: Vec::new(),
            };
            let suite = Suite::new(&source, "bookworm", None);
            suite
                .judge(&release, now, Some(&last), false)
                .map_err(|refusal| refusal.code)
        };
        let same = |_: &mut Release| {};
        assert_eq!(judge("", NOW.max(made), &same), Ok(()));
        assert_eq!(judge("", made - 11, &same), Err("release-from-future"));
        assert_eq!(judge("[date-max-future=60]", made - 11, &same), Ok(()));
        assert_eq!(judge("[check-date=no]", made - DAY, &same), Ok(()));
        let week = |release: &mut Release| release.valid_until = Some(made + 7 * DAY);
        assert_eq!(judge("", made + 8 * DAY, &week), Err("release-expired"));
        assert_eq!(
            judge("[check-valid-until=no]", made + 8 * DAY, &week),
            Ok(())
        );
        assert_eq!(
            judge("[valid-until-min=864000]", made + 8 * DAY, &week),
            Ok(())
        );
        assert_eq!(
            judge("[valid-until-max=86400]", made + 2 * DAY, &same),
            Err("release-expired")
        );
        let named = |release: &mut Release| {
            release.suite = "stable".into();
            release.codename = "trixie".into();
        };
        assert_eq!(judge("", made, &named), Err("release-is-another"));
        let moved = |release: &mut Release| release.suite = "oldoldstable".into();
        assert_eq!(judge("", made, &moved), Err("release-changed"));
    }
}

//! Where packages come from: sources.list(5), in one-line and deb822 style.
//!
//! What this generator does not honour is refused by name; nothing is passed over in silence but source packages and disabled entries.

mod deb822;
mod line;
mod options;

pub use options::{ByHash, SignedBy};

/// One entry: every suite of it at every mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it stands, for people: `/etc/apt/sources.list.d/debian.sources, line 1`.
    pub at: String,
    /// Mirrors of one repository, tried in order; each ends with `/`.
    pub uris: Vec<String>,
    /// Names below `dists/`, or, ending with `/`, directories of a flat repository.
    pub suites: Vec<String>,
    /// Empty for a flat repository.
    pub components: Vec<String>,
    /// None: those of the target.
    pub architectures: Option<Vec<String>>,
    /// Keys that may sign. Empty: the image's trusted ones.
    pub signed_by: Vec<SignedBy>,
    pub by_hash: ByHash,
    pub inrelease_path: Option<String>,
    /// A time as repositories of snapshots name it: `20260909T000000Z`.
    pub snapshot: Option<String>,
    pub check_valid_until: bool,
    /// Seconds that a Release is valid at least and at most, whatever it says.
    pub valid_until_min: Option<u64>,
    pub valid_until_max: Option<u64>,
    pub check_date: bool,
    /// Seconds that a Release may come from the future.
    pub date_max_future: u64,
}

/// An entry that cannot be used. Mend it where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct SourceError {
    pub at: String,
    pub what: String,
}

/// Most entries that are read.
const MOST: usize = 256;

/// The entries of one file; `deb822` tells its style. All faults at once.
pub fn parse(text: &str, name: &str, deb822: bool) -> Result<Vec<Source>, Vec<SourceError>> {
    let read = if deb822 {
        deb822::entries(text, name)
    } else {
        line::entries(text, name)
    };
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for entry in read {
        match entry.and_then(options::Entry::source) {
            Ok(Some(source)) => sources.push(source),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if sources.len() > MOST {
        errors.push(SourceError {
            at: name.to_owned(),
            what: format!("{} entries, at most {MOST} are read", sources.len()),
        });
    }
    if errors.is_empty() {
        Ok(sources)
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_say_the_same() {
        let line = parse(
            "# main\ndeb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://deb.example.org/debian bookworm main contrib # x\n\
             deb-src http://deb.example.org/debian bookworm main\n",
            "a",
            false,
        )
        .unwrap();
        let long = parse(
            "Types: deb deb-src\nURIs: http://deb.example.org/debian\nSuites: bookworm\n# said twice\nComponents: main contrib\n\
             Architectures: amd64\nSigned-By: /usr/share/keyrings/a.gpg\n",
            "a",
            true,
        )
        .unwrap();
        assert_eq!(line.len(), 1);
        let bare = |source: &Source| Source {
            at: String::new(),
            ..source.clone()
        };
        assert_eq!(bare(&line[0]), bare(&long[0]));
        assert_eq!(line[0].uris, ["http://deb.example.org/debian/"]);
        assert_eq!(
            line[0].signed_by,
            [SignedBy::Path("/usr/share/keyrings/a.gpg".into())]
        );
    }

    #[test]
    fn inline_keys_and_exact_fingerprints_are_read() {
        let text = "Types: deb\nURIs: https://e/d/\nSuites: s\nComponents: c\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let source = &parse(text, "a", true).unwrap()[0];
        assert_eq!(
            source.signed_by,
            [SignedBy::Inline(
                "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc=\n-----END PGP PUBLIC KEY BLOCK-----\n"
                    .into()
            )]
        );
        let print = "A".repeat(40);
        let text = format!("deb [signed-by={print}!,/k.gpg] https://e/d sid main\n");
        let source = &parse(&text, "a", false).unwrap()[0];
        assert_eq!(
            source.signed_by,
            [
                SignedBy::Fingerprint {
                    hex: print,
                    exact: true
                },
                SignedBy::Path("/k.gpg".into())
            ]
        );
    }

    #[test]
    fn what_is_not_honoured_is_refused_and_every_fault_is_told() {
        let errors = parse(
            "deb [trusted=yes] https://e/d s c\ndeb [colour=red] https://e/d s c\ndeb https://e/d\nrpm https://e/d s c\n\
             deb ftp://e/d s c\ndeb [lang=de] https://e/d s c\n",
            "list",
            false,
        )
        .unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 5, "{texts:#?}");
        assert!(texts[0].contains("line 1") && texts[0].contains("unsigned"));
        assert!(texts[1].contains("`colour`"));
        assert!(texts[4].contains("`ftp:"));
    }

    #[test]
    fn a_flat_repository_has_no_components_and_any_other_has() {
        let flat = parse("deb https://e/d ./\n", "a", false).unwrap();
        assert_eq!(flat[0].suites, ["./"]);
        assert!(parse("deb https://e/d ./ main\n", "a", false).is_err());
        assert!(parse("deb https://e/d sid\n", "a", false).is_err());
        let disabled = "Enabled: no\nTypes: deb\nURIs: https://e\nSuites: s\nComponents: c\n";
        assert!(parse(disabled, "a", true).unwrap().is_empty());
    }

    #[test]
    fn suites_and_components_stay_below_the_mirror() {
        for bad in [
            "deb https://e/d ../x main",
            "deb https://e/d s ../../x",
            "deb https://e/d s a%2fb",
            "deb https://u:p@e/d s main",
            "deb https://e/d?x s main",
            "deb [inrelease-path=../x] https://e/d s main",
        ] {
            assert!(parse(bad, "a", false).is_err(), "{bad}");
        }
    }
}

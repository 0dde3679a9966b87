//! Where packages come from: the facts of a repository's `Release` file that pins and requests speak of (apt_preferences(5)).

/// The facts of one suite and component. Empty strings: not known.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Origin {
    /// The caller's number or name of the source, carried through to the plan: it leads back to URLs and keys.
    pub id: String,
    /// `Suite:` of the Release file: `stable-security`.
    pub suite: String,
    /// `Codename:`: `bookworm-security`.
    pub codename: String,
    /// The suite as the source names it, which may be neither of the two.
    pub asked: String,
    /// `Version:`: `12.5`.
    pub version: String,
    /// `Origin:`: `Debian`.
    pub origin: String,
    /// `Label:`: `Debian-Security`.
    pub label: String,
    /// `main`.
    pub component: String,
    /// The host of the source's URL, for `Pin: origin`.
    pub site: String,
    /// `NotAutomatic: yes`: never chosen by itself.
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`: upgrades by itself what came from it.
    pub but_automatic_upgrades: bool,
}

// === impl Origin ===

impl Origin {
    /// Whether a release name (`bookworm`, `stable`, `bookworm-backports`, `12`) means this origin.
    pub fn is_release(&self, name: &str) -> bool {
        !name.is_empty()
            && [&self.suite, &self.codename, &self.asked]
                .iter()
                .any(|own| *own == name)
            || !name.is_empty() && self.is_version(name)
    }

    /// Whether a release version (`12`, `12.5`) means this origin: a leading part will do.
    pub fn is_version(&self, version: &str) -> bool {
        let starts = version.starts_with(|c: char| c.is_ascii_digit());
        starts
            && match self.version.strip_prefix(version) {
                Some(rest) => rest.is_empty() || rest.starts_with('.'),
                None => false,
            }
    }
}

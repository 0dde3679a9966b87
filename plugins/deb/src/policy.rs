//! The rules under which a request is resolved.

/// What may happen to what the image has installed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Base {
    /// Nothing: installed versions are facts.
    Frozen,
    /// Upgraded where something needs it, as `apt-get install` does.
    #[default]
    Minimal,
    /// All upgraded to what the sources have, where they fit together.
    Upgrade,
}

/// Whether recommended packages are installed. One that cannot be never fails a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Recommends {
    /// Those of every package that is installed anew, as apt does by default.
    #[default]
    All,
    /// None.
    None,
    /// Those of these packages only.
    Of(Vec<String>),
}

/// Whether phased updates (`Phased-Update-Percentage`) below 100 % are taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Phased {
    /// Never.
    Never,
    /// Always, as apt-get of Debian does.
    #[default]
    Always,
    /// By the machine: the seed is its machine id, and the answer is apt's.
    Seeded(String),
}

/// The rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// What may happen to what is installed.
    pub base: Base,
    /// Upgrade installed siblings of the same source together (`APT::Get::Upgrade-By-Source-Package`, apt 2.5.2).
    pub upgrade_by_source: bool,
    /// Whether recommended packages come along.
    pub recommends: Recommends,
    /// Whether suggested packages come along, by the same rule as recommended ones.
    pub suggests: bool,
    /// Whether phased updates are taken.
    pub phased: Phased,
    /// Installed packages may be removed where the request needs it; essential and protected ones never.
    pub allow_removals: bool,
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: Base::default(),
            upgrade_by_source: true,
            recommends: Recommends::default(),
            suggests: false,
            phased: Phased::default(),
            allow_removals: false,
        }
    }
}

impl Policy {
    /// Whether recommendations of a package are followed.
    pub fn follows_recommends_of(&self, package: &str) -> bool {
        match &self.recommends {
            Recommends::All => true,
            Recommends::None => false,
            Recommends::Of(names) => names.iter().any(|name| name == package),
        }
    }
}

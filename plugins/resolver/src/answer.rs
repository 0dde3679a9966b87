//! What the resolver answers: the chosen solvables, each with the reason why it is there.

use crate::universe::{Name, Solvable};

/// Why a solvable was chosen.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// The wish with this index asked for it.
    Requested(usize),
    /// It must be there for this one.
    DependsOf(Solvable),
    /// This one recommends it.
    RecommendsOf(Solvable),
    /// Its name was installed, and this one needs it in another version.
    UpgradeFor(Solvable),
    /// It moves along with this one, which is of the same source.
    SameSourceAs(Solvable),
    /// Its name was installed, and no single other package explains the new version: the policy wants it, or it makes the whole fit.
    Upgrade,
}

/// A solvable that is to be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chosen {
    /// Which.
    pub solvable: Solvable,
    /// Its name.
    pub name: Name,
    /// The installed solvable that it takes the place of.
    pub replaces: Option<Solvable>,
    /// Why.
    pub reason: Reason,
}

/// All that changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// What is to be installed, each after the one that brought it in.
    pub chosen: Vec<Chosen>,
    /// Installed solvables whose name is left without any; by name.
    pub removed: Vec<Solvable>,
    /// How many solvables were asked for their dependencies.
    pub visited: usize,
}

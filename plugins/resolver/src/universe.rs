//! What the resolver is told about packages: the trait that a package format implements, and the plain data it answers with.
//!
//! Limits: at most 2³² names and solvables; numbers need not be dense.

use std::rc::Rc;

/// A package name, of one architecture where the format knows architectures. At most one solvable of a name is chosen.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(pub u32);

/// One version of a [`Name`] that can be chosen: to be had from a repository, or installed already.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Solvable(pub u32);

/// Some solvables of one name. The solvables must all be among the name's [`Candidates`]; their order means nothing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Choice {
    /// The name that all the solvables have.
    pub name: Name,
    /// Which of its solvables will do.
    pub solvables: Vec<Solvable>,
}

/// What ties a solvable to what it asks for. Decides the [`Reason`](crate::Reason) that is told, and whether it must be met.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Link {
    /// Must be met.
    Depends,
    /// Met when it can be; never fails a request.
    Recommends,
    /// Moves along with a package of the same source, when it can.
    SameSource,
}

/// One thing that a solvable asks for: any of the choices, the earlier the better.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dependency {
    /// Whether it must be met.
    pub link: Link,
    /// What the format needs to find the dependency's text again, for [`Universe::describe_dependency`].
    pub label: u32,
    /// In order of preference. Without any, a [`Link::Depends`] makes its solvable impossible, and another link means nothing.
    pub choices: Vec<Choice>,
}

/// What one solvable asks for and rules out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dependencies {
    /// What it asks for, in the order in which it should be decided.
    pub requires: Vec<Dependency>,
    /// What cannot be chosen together with it, each with a label for [`Universe::describe_dependency`].
    pub forbids: Vec<(u32, Choice)>,
}

/// The solvables of one name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Candidates {
    /// All that may be chosen, the most wanted first.
    pub solvables: Vec<Solvable>,
    /// Which of them is installed.
    pub installed: Option<Solvable>,
    /// Tried before all others whatever the order: the installed one that should stay, or the one of a lock file.
    pub favored: Option<Solvable>,
    /// The only one that may be chosen: a held package, or all of a frozen base.
    pub locked: Option<Solvable>,
    /// Several may be chosen together (the format's install-only packages).
    pub several: bool,
}

/// The packages of a request, answered lazily. Answers must not change while a problem is solved.
pub trait Universe {
    /// Why a question could not be answered: damaged or unreadable data. Ends the solving.
    type Error;

    /// The solvables of a name; none where the name has no package. Asked again and again: shared, so that the answer need not be made anew.
    fn candidates(&self, name: Name) -> Result<Rc<Candidates>, Self::Error>;

    /// What a solvable asks for. Asked only when the solvable may be chosen.
    fn dependencies(&self, solvable: Solvable) -> Result<Dependencies, Self::Error>;

    /// The name's text, for stories and for order among equals.
    fn describe_name(&self, name: Name) -> String;

    /// The solvable's version, for stories.
    fn describe_version(&self, solvable: Solvable) -> String;

    /// The text of a dependency of `solvable`, or of a wish (`solvable` is none): `libc6 (>= 2.36)`.
    fn describe_dependency(&self, solvable: Option<Solvable>, label: u32) -> String;
}

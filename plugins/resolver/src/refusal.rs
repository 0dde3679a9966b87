//! Why a problem has no answer, as a story: who needs what, and what stands against it.

use std::collections::HashSet;
use std::fmt;

use resolvo::conflict::{Conflict, ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Requirement, SolvableId, Solver};

use crate::pool::{Entry, Item};
use crate::provider::Provider;
use crate::universe::{Name, Solvable, Universe};

/// One sentence of the story. The texts are the universe's, taken when the story was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Clause {
    /// `who` (none: the request) can have its dependency from these only.
    Needs {
        who: Option<Party>,
        dependency: String,
        from: Vec<Party>,
    },
    /// Nothing at all meets the dependency of `who` (none: the request).
    Nothing {
        who: Option<Party>,
        dependency: String,
    },
    /// `who` (none: the request) cannot be together with `what`, because of a relation it declares.
    Forbids {
        who: Option<Party>,
        relation: String,
        what: Party,
    },
    /// Only this version of the package may be chosen.
    Stays { what: Party },
    /// Two versions of one package are needed at once.
    Versions { of: Vec<Party> },
}

/// A solvable with its texts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Party {
    /// Which.
    pub solvable: Solvable,
    /// Its name.
    pub name: Name,
    /// Its name and version, as a person reads them.
    pub text: String,
    /// It is installed.
    pub installed: bool,
}

/// A conflict. Told from the request down to what cannot be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    /// The sentences.
    pub clauses: Vec<Clause>,
}

/// At most this many sentences are told; a longer story helps nobody.
const MOST_CLAUSES: usize = 64;

// === impl Refusal ===

impl Refusal {
    pub(crate) fn tell<U: Universe>(
        solver: &Solver<Provider<'_, U>>,
        conflict: &Conflict,
    ) -> Result<Self, U::Error> {
        let mut teller = Teller {
            provider: solver.provider(),
            graph: conflict.graph(solver),
            told: HashSet::new(),
            clauses: Vec::new(),
        };
        let root = teller.graph.root_node;
        teller.node(root)?;
        Ok(Self {
            clauses: teller.clauses,
        })
    }

    /// The installed solvables that take part.
    pub fn installed(&self) -> Vec<&Party> {
        let mut found: Vec<&Party> = Vec::new();
        for party in self.clauses.iter().flat_map(Clause::parties) {
            if party.installed && !found.contains(&party) {
                found.push(party);
            }
        }
        found
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.clauses.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{clause}")?;
        }
        Ok(())
    }
}

// === impl Clause ===

impl Clause {
    pub(crate) fn nothing<U: Universe>(universe: &U, who: Option<Party>, label: u32) -> Self {
        Self::Nothing {
            dependency: universe.describe_dependency(who.as_ref().map(|who| who.solvable), label),
            who,
        }
    }

    /// The solvables that take part.
    pub fn parties(&self) -> Vec<&Party> {
        match self {
            Self::Needs { who, from, .. } => who.iter().chain(from).collect(),
            Self::Nothing { who, .. } => who.iter().collect(),
            Self::Forbids { who, what, .. } => who.iter().chain([what]).collect(),
            Self::Stays { what } => vec![what],
            Self::Versions { of } => of.iter().collect(),
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = |who: &Option<Party>| match who {
            Some(who) => who.to_string(),
            None => "the request".to_owned(),
        };
        match self {
            Self::Needs {
                who,
                dependency,
                from,
            } => {
                let from: Vec<String> = from.iter().map(Party::to_string).collect();
                write!(
                    f,
                    "{} needs {dependency}, which only {} can be",
                    subject(who),
                    from.join(" or ")
                )
            }
            Self::Nothing { who, dependency } => {
                write!(
                    f,
                    "{} needs {dependency}, which nothing meets",
                    subject(who)
                )
            }
            Self::Forbids {
                who,
                relation,
                what,
            } => {
                write!(f, "{} rules out {what} ({relation})", subject(who))
            }
            Self::Stays { what } => write!(f, "{what} must stay as it is"),
            Self::Versions { of } => {
                let of: Vec<String> = of.iter().map(Party::to_string).collect();
                write!(f, "{} cannot be installed together", of.join(" and "))
            }
        }
    }
}

// === impl Party ===

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let installed = if self.installed { " of the image" } else { "" };
        write!(f, "{}{installed}", self.text)
    }
}

/// Walks a conflict's graph.
struct Teller<'p, 'a, U: Universe> {
    provider: &'p Provider<'a, U>,
    graph: ConflictGraph,
    told: HashSet<usize>,
    clauses: Vec<Clause>,
}

// === impl Teller ===

impl<U: Universe> Teller<'_, '_, U> {
    fn node(&mut self, node: petgraph::graph::NodeIndex) -> Result<(), U::Error> {
        use petgraph::visit::EdgeRef;
        if !self.told.insert(node.index()) || self.clauses.len() >= MOST_CLAUSES {
            return Ok(());
        }
        let (from, who) = match self.graph.graph[node] {
            ConflictNode::Root => (None, None),
            ConflictNode::Solvable(id) => match self.party(id)? {
                Some(party) => (Some(id), Some(party)),
                None => (Some(id), None),
            },
            ConflictNode::UnresolvedDependency | ConflictNode::Excluded(_) => return Ok(()),
        };
        // In the order of the clauses' making, so that the story does not depend on how the graph was built.
        let mut edges: Vec<_> = self
            .graph
            .graph
            .edges(node)
            .map(|edge| (*edge.weight(), edge.target()))
            .collect();
        edges.sort_by_key(|(weight, target)| (*weight, target.index()));

        let mut next = Vec::new();
        let mut at = 0;
        while at < edges.len() {
            let (weight, _) = edges[at];
            let end = at
                + edges[at..]
                    .iter()
                    .take_while(|(other, _)| *other == weight)
                    .count();
            let targets: Vec<_> = edges[at..end].iter().map(|&(_, target)| target).collect();
            at = end;
            match weight {
                ConflictEdge::Requires(requirement) => {
                    self.requires(from, who.as_ref(), requirement, &targets)?;
                }
                ConflictEdge::Conflict(cause) => {
                    self.conflict(from, who.as_ref(), cause, &targets)?;
                }
            }
            next.extend(targets);
        }
        for target in next {
            self.node(target)?;
        }
        Ok(())
    }

    fn requires(
        &mut self,
        from: Option<SolvableId>,
        who: Option<&Party>,
        requirement: Requirement,
        targets: &[petgraph::graph::NodeIndex],
    ) -> Result<(), U::Error> {
        let Some(dependency) = self.provider.dependency_text(from, requirement) else {
            return Ok(());
        };
        let mut parties = Vec::new();
        for &target in targets {
            if let ConflictNode::Solvable(id) = self.graph.graph[target] {
                parties.extend(self.party(id)?);
            }
        }
        self.clauses.push(if parties.is_empty() {
            Clause::Nothing {
                who: who.cloned(),
                dependency,
            }
        } else {
            Clause::Needs {
                who: who.cloned(),
                dependency,
                from: parties,
            }
        });
        Ok(())
    }

    fn conflict(
        &mut self,
        from: Option<SolvableId>,
        who: Option<&Party>,
        cause: ConflictCause,
        targets: &[petgraph::graph::NodeIndex],
    ) -> Result<(), U::Error> {
        for &target in targets {
            let clause = match (cause, self.graph.graph[target]) {
                (ConflictCause::Locked(id), _) => {
                    self.party(id)?.map(|what| Clause::Stays { what })
                }
                (ConflictCause::Constrains(set), ConflictNode::Solvable(id)) => {
                    let relation = self.provider.relation_text(from, set);
                    self.party(id)?.map(|what| Clause::Forbids {
                        who: who.cloned(),
                        relation,
                        what,
                    })
                }
                (ConflictCause::ForbidMultipleInstances, ConflictNode::Solvable(id)) => {
                    let of: Vec<Party> = who.cloned().into_iter().chain(self.party(id)?).collect();
                    Some(Clause::Versions { of })
                }
                (ConflictCause::Excluded, ConflictNode::Excluded(text)) => {
                    who.cloned().map(|who| Clause::Nothing {
                        who: Some(who),
                        dependency: self.provider.pool.text(text),
                    })
                }
                _ => None,
            };
            self.clauses
                .extend(clause.filter(|clause| !self.clauses.contains(clause)));
        }
        Ok(())
    }

    fn party(&self, id: SolvableId) -> Result<Option<Party>, U::Error> {
        let Item::Package(solvable) = self.provider.pool.item(id) else {
            return Ok(None);
        };
        let Entry::Package(name) = self.provider.pool.entry(self.provider.pool.name_of(id)) else {
            return Ok(None);
        };
        let universe = self.provider.universe;
        Ok(Some(Party {
            solvable,
            name,
            text: format!(
                "{} {}",
                universe.describe_name(name),
                universe.describe_version(solvable)
            ),
            installed: universe.candidates(name)?.installed == Some(solvable),
        }))
    }
}

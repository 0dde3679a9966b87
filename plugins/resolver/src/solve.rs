//! One request, from the problem to its answer.

use resolvo::{ConditionalRequirement, Problem as SearchProblem, Solver, UnsolvableOrCancelled};

use crate::answer::Answer;
use crate::pool::{Entry, Item};
use crate::problem::Problem;
use crate::provider::Provider;
use crate::reason::explain;
use crate::refusal::{Clause, Refusal};
use crate::universe::{Choice, Dependency, Link, Solvable, Universe};

/// Why there is no answer, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E> {
    /// The wishes contradict each other or what is installed: tell the story, change the request.
    #[error("{0}")]
    Refused(Refusal),
    /// The caller's [`Problem::stop`] said so: ask again with more time.
    #[error("resolving was stopped at its deadline")]
    Stopped,
    /// The universe could not be read.
    #[error("{0}")]
    Universe(E),
}

/// Finds the solvables that meet a problem's wishes: of each thing the most preferred choice that fits with the others, and what is installed
/// stays as it is where nothing speaks against it. What is only recommended is met where it can be. Nothing is chosen that nothing asks for.
///
/// The same universe and problem give the same answer, on every machine.
pub fn solve<U: Universe>(
    universe: &U,
    problem: &Problem<'_>,
) -> Result<Answer, SolveError<U::Error>> {
    let provider = Provider::new(universe, problem.stop);
    let mut requirements: Vec<ConditionalRequirement> =
        Vec::with_capacity(problem.keep.len() + problem.wishes.len());
    let mut refused = Vec::new();

    for &name in &problem.keep {
        let choice = whole(universe, name).map_err(SolveError::Universe)?;
        if let Some(requirement) = provider.requirement(&[choice]) {
            requirements.push(requirement.into());
        }
    }
    for &name in &problem.keep_if_possible {
        let choice = whole(universe, name).map_err(SolveError::Universe)?;
        let stay = Dependency {
            link: Link::Recommends,
            label: 0,
            choices: vec![choice],
        };
        if let Some(requirement) = provider.soft(&stay) {
            requirements.push(requirement.into());
        }
    }
    for wish in &problem.wishes {
        match provider.requirement(&wish.choices) {
            Some(requirement) => {
                provider.label_wish(requirement, wish.label);
                requirements.push(requirement.into());
            }
            None => refused.push(Clause::nothing(universe, None, wish.label)),
        }
    }
    if !refused.is_empty() {
        return Err(SolveError::Refused(Refusal { clauses: refused }));
    }
    let forbids = problem
        .forbids
        .iter()
        .map(|(label, choice)| {
            let set = provider.pool.choice(choice, true);
            provider.label_forbidden(set, *label);
            set
        })
        .collect();

    let mut solver = Solver::new(provider);
    let outcome = solver.solve(
        SearchProblem::new()
            .requirements(requirements)
            .constraints(forbids),
    );
    match outcome {
        Ok(found) => {
            let provider = solver.provider();
            if let Some(error) = provider.failed.take() {
                return Err(SolveError::Universe(error));
            }
            let chosen: Vec<Solvable> = found
                .iter()
                .filter_map(|&id| match provider.pool.item(id) {
                    Item::Package(solvable) => Some(solvable),
                    Item::Met(_) | Item::GivenUp(_) => None,
                })
                .collect();
            let names = found
                .iter()
                .filter_map(|&id| match provider.pool.entry(provider.pool.name_of(id)) {
                    Entry::Package(name) => Some(name),
                    Entry::Soft(_) => None,
                })
                .collect::<Vec<_>>();
            explain(provider, problem, &chosen, &names).map_err(SolveError::Universe)
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            if let Some(error) = solver.provider().failed.take() {
                return Err(SolveError::Universe(error));
            }
            let refusal = Refusal::tell(&solver, &conflict).map_err(SolveError::Universe)?;
            Err(SolveError::Refused(refusal))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => match solver.provider().failed.take() {
            Some(error) => Err(SolveError::Universe(error)),
            None => Err(SolveError::Stopped),
        },
    }
}

/// Any solvable of a name.
fn whole<U: Universe>(universe: &U, name: crate::Name) -> Result<Choice, U::Error> {
    Ok(Choice {
        name,
        solvables: universe.candidates(name)?.solvables.clone(),
    })
}

impl<E> SolveError<E> {
    /// The same with the universe's error changed.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> SolveError<F> {
        match self {
            Self::Refused(refusal) => SolveError::Refused(refusal),
            Self::Stopped => SolveError::Stopped,
            Self::Universe(error) => SolveError::Universe(change(error)),
        }
    }
}

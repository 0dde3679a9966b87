//! What is asked of the resolver.

use crate::universe::{Choice, Name};

/// One thing that is asked for: any of the choices, the earlier the better.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wish {
    /// What the format needs to find the wish's text again; see [`Universe::describe_dependency`](crate::Universe::describe_dependency).
    pub label: u32,
    /// In order of preference; empty means that nothing can meet it, and the problem is refused.
    pub choices: Vec<Choice>,
}

/// A request. Everything in it is met, or the answer is a refusal.
#[derive(Clone, Default)]
pub struct Problem<'a> {
    /// What must be there, in order.
    pub wishes: Vec<Wish>,
    /// What must not be there, each with its label.
    pub forbids: Vec<(u32, Choice)>,
    /// Names that are installed and must stay in some version: "no removals".
    pub keep: Vec<Name>,
    /// Names that are installed and stay unless something that is asked for speaks against them.
    pub keep_if_possible: Vec<Name>,
    /// Asked again and again while solving; `true` ends it with [`SolveError::Stopped`](crate::SolveError::Stopped).
    pub stop: Option<&'a dyn Fn() -> bool>,
}

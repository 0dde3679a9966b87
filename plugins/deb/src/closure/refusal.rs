//! What would make an impossible request possible.

use bootsplice_resolver::{Clause, Refusal};

use super::Input;
use super::catalog::Catalog;
use crate::Result;
use crate::policy::Base;

/// Hints for a refusal, each a sentence that names what to allow or change.
pub(super) fn suggestions(
    catalog: &Catalog<'_>,
    input: &Input<'_>,
    story: &Refusal,
) -> Result<Vec<String>> {
    let mut hints = Vec::new();
    let mut hint = |text: String| {
        if !hints.contains(&text) {
            hints.push(text);
        }
    };
    for party in story.installed() {
        let (_, installed) = (party.name, party.solvable);
        let number = catalog.version(installed).installed;
        let held = number.is_some_and(|number| input.status.packages()[number].held);
        let candidates = catalog.candidates_of(party.name)?;
        let newer = candidates
            .solvables
            .iter()
            .any(|&solvable| solvable != installed);
        if held {
            hint(format!(
                "{} is on hold in the image: take the hold away",
                party.text
            ));
        } else if input.policy.base == Base::Frozen && newer {
            hint(format!(
                "let {} of the image be upgraded: base: minimal",
                catalog.told(party.name)
            ));
        } else if !input.policy.allow_removals && !catalog.is_vital(installed) {
            hint(format!(
                "let {} of the image be removed: allow-removals",
                catalog.told(party.name)
            ));
        }
    }
    for clause in &story.clauses {
        if let Clause::Nothing {
            who: Some(_),
            dependency,
        } = clause
        {
            hint(format!("add a source that has {dependency}"));
        }
    }
    Ok(hints)
}

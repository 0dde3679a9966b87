//! Names that are close to one that nobody has.

use super::catalog::Catalog;
use crate::Result;

/// At most so many are told.
const MOST: usize = 5;

/// How alike two names must be, of 1.
const ALIKE: f64 = 0.8;

/// Names of packages that are close to `name`, the closest first. Reads every name of every index: for errors only.
pub(super) fn names(catalog: &Catalog<'_>, name: &str) -> Result<Vec<String>> {
    let mut found: Vec<(f64, String)> = Vec::new();
    for index in catalog.input.indexes {
        for number in 0..index.names() {
            let other = index.name(number)?;
            let alike = strsim::jaro_winkler(name, &other);
            // Names that only relations mention are no help.
            if alike >= ALIKE && !index.entries(number)?.0.is_empty() {
                found.push((alike, other));
            }
        }
    }
    found.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    found.dedup_by(|a, b| a.1 == b.1);
    Ok(found.into_iter().take(MOST).map(|(_, name)| name).collect())
}

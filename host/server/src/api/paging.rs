//! Lists by pages: `?limit=` and `?after=`, answered with `next`.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::{Fault, Kind, Problem};

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Most items in the answer, 1 to 500. 100 when absent.
    pub limit: Option<usize>,
    /// What `next` of the page before said.
    pub after: Option<String>,
}

/// Which part of a list that goes from the newest back.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Most items in the answer, 1 to 500. 100 when absent.
    pub limit: Option<usize>,
    /// Launches older than the one with this id.
    pub before: Option<String>,
}

/// A [`Paging`] whose numbers were judged.
#[derive(Clone, Debug)]
pub struct Window {
    pub limit: usize,
    pub after: Option<String>,
}

impl Paging {
    const DEFAULT: usize = 100;
    const MOST: usize = 500;

    pub fn window(self) -> Result<Window, Problem> {
        let limit = self.limit.unwrap_or(Self::DEFAULT);
        if !(1..=Self::MOST).contains(&limit) {
            let detail = format!("`limit` is 1 to {}, not {limit}", Self::MOST);
            let fault = Fault::new("/limit", "invalid-value", detail);
            return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
        }
        if self.after.as_ref().is_some_and(|after| after.len() > 256) {
            let detail = "`after` is what `next` of a page said".to_owned();
            let fault = Fault::new("/after", "invalid-value", detail);
            return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
        }
        Ok(Window {
            limit,
            after: self.after,
        })
    }
}

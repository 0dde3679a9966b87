//! How far the steps of a launch are.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::launch::prepare::{Prepared, PreparedStep};

/// How far each step is, for whoever asks.
#[derive(Debug, Default)]
pub struct Steps(Mutex<Vec<StepProgress>>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepProgress {
    pub id: String,
    pub state: StepState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Waiting,
    Generating,
    /// Its layer was there.
    Cached,
    Generated,
    Failed,
}

// === impl Steps ===

impl Steps {
    pub fn of(prepared: &Prepared) -> Self {
        let mut steps: Vec<_> = prepared
            .points
            .iter()
            .flat_map(|point| &point.steps)
            .collect();
        steps.sort_by_key(|step| step.order);
        let waiting = |step: &&PreparedStep| StepProgress {
            id: step.step.id.clone(),
            state: StepState::Waiting,
        };
        Self(Mutex::new(steps.iter().map(waiting).collect()))
    }

    pub fn look(&self) -> Vec<StepProgress> {
        self.0.lock().clone()
    }

    pub(super) fn set(&self, id: &str, state: StepState) {
        if let Some(step) = self.0.lock().iter_mut().find(|step| step.id == id) {
            step.state = state;
        }
    }
}

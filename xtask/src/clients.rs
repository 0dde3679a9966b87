//! Other people's clients of OCI registries, for the tests of ours: wkg and skopeo here, oras with the languages' tools. And Debian's
//! registry, to be compared with.

use anyhow::Result;

use crate::check::tool_in;
use crate::phase::Phases;
use crate::setup;

/// Gets those that are missing.
pub fn setup(phases: &mut Phases) -> Result<()> {
    setup::packages(
        phases,
        &[
            ("docker-registry", "/usr/bin/docker-registry"),
            ("openssl", "/usr/bin/openssl"),
            ("skopeo", "/usr/bin/skopeo"),
        ],
    )?;
    tool_in(phases, "wkg@0.16.1", "wkg", "dev").map(drop)
}

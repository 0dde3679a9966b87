//! The `apt` generator: Debian packages with everything they need that the image lacks, trusted, pinned, installed offline.
//!
//! | room | what is in it |
//! |---|---|
//! | [`config`], [`sources`] | what is asked for, and where packages come from |
//! | [`image`] | what the image's own apt goes by |
//! | [`acquire`], [`repository`], [`release`], [`date`] | Release files and indexes, fetched and judged |
//! | [`prepared`], [`debfile`] | what is read lazily of indexes and of package files |
//! | [`resolve`], [`state`] | the plan, and how it gets from `resolve` to `generate` |
//! | [`content`] | what goes into the guest |

pub mod acquire;
pub mod config;
pub mod content;
pub mod date;
pub mod debfile;
pub mod image;
pub mod prepared;
pub mod release;
pub mod repository;
pub mod resolve;
pub mod sources;
pub mod state;

use bootsplice_sdk::fetch::{self, Request};
use bootsplice_sdk::prelude::*;

use crate::config::Config;
use crate::state::State;

/// Package files that are asked for at once.
const BATCH: usize = 32;

/// The generator.
pub struct AptGenerator;

// === impl AptGenerator ===

impl Generator for AptGenerator {
    type Config = Config;

    fn describe() -> Descriptor {
        let example = |title: &str, config: &str| Example {
            title: title.to_owned(),
            config: config.to_owned(),
        };
        let schemes = ["https", "http", "file", "s3", "gs", "az"];
        Descriptor {
            id: "apt".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Debian packages".into(),
            summary: "Packages with the dependencies that the image lacks, installed offline by the guest's own apt."
                .into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Packages,
            capabilities: CapabilityRequest {
                // Sources come from the image or stand in the configuration as text: the operator says which hosts.
                fetch: schemes.map(|scheme| format!("{scheme}://*/")).to_vec(),
                secrets: vec!["/credentials/*".into(), "/packages/*/credential".into()],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![
                example("A web server with a database", include_str!("../examples/web.json")),
                example("A vendor's package file", include_str!("../examples/vendor.json")),
            ],
            joins_steps: true,
        }
    }

    fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        config.check()
    }

    fn resolve(
        target: &Target,
        config: &Config,
        previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        resolve::resolve(target, config, previous.as_ref())
    }

    fn generate(
        target: &Target,
        config: &Config,
        locked: &Locked,
        _instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        let state = State::of(locked)?;
        let attrs = content::attrs(0o644);
        for batch in locked.pins.chunks(BATCH) {
            let requests: Vec<Request> = batch.iter().map(request).collect();
            for (pin, answer) in batch.iter().zip(fetch::get_all(&requests)) {
                let path = content::pool(&target.insertion_point, &pin.name);
                sink.put_blob(&path, &attrs, &answer?.content)?;
            }
        }
        content::content(config, &state, &target.insertion_point).write(locked, sink)
    }
}

/// A pinned package file. Its bytes never come into the guest's memory.
fn request(pin: &Pin) -> Request {
    let credential = pin.attributes.iter().find(|(name, _)| name == "credential");
    Request {
        urls: pin.urls.clone(),
        digest: Some(pin.digest.clone()),
        size: Some(pin.size),
        max_size: pin.size,
        credential: credential.map(|(_, secret)| secret.clone()),
        max_age: None,
    }
}

#[cfg(target_arch = "wasm32")]
bootsplice_sdk::export!(AptGenerator);

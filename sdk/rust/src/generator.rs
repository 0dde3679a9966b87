//! What a generator implements, and how it becomes a component.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::bootsplice::generator::archive::Sink;
use crate::bindings::bootsplice::generator::types::{Diagnostic, Error, Instance, Target};
use crate::bindings::exports::bootsplice::generator::generator::{
    Guest as Work, LockFile, Locked, Summary,
};
use crate::bindings::exports::bootsplice::generator::plugin_info::{Descriptor, Guest as Info};
use crate::config;

/// Turns one step's configuration into content. Each call is a fresh instance: nothing is kept between them but the lock file.
pub trait Generator {
    /// The configuration, as `serde` reads it from JSON. Say `#[serde(deny_unknown_fields)]` wherever the schema has
    /// `additionalProperties: false`.
    type Config: DeserializeOwned;

    /// Id, schema, examples, what it asks for. Pure.
    fn describe() -> Descriptor;

    /// What the schema cannot say: every finding at once. Pure, and without a target while a profile is saved.
    fn validate(target: Option<&Target>, config: &Self::Config) -> Vec<Diagnostic>;

    /// Decides every artefact. The only call with a network. The configuration has no error that `validate` finds.
    fn resolve(
        target: &Target,
        config: &Self::Config,
        previous: Option<Locked>,
    ) -> Result<LockFile, Error>;

    /// Writes the content from what the lock file names. The same inputs give the same bytes. `instance` is there only when the lock file
    /// said `needs_instance`.
    fn generate(
        target: &Target,
        config: &Self::Config,
        locked: &Locked,
        instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error>;
}

/// The component around a [`Generator`]. Made by [`export!`](crate::export).
#[doc(hidden)]
pub struct Exported<G>(PhantomData<G>);

// === impl Exported ===

impl<G: Generator> Info for Exported<G> {
    fn describe() -> Descriptor {
        G::describe()
    }

    fn validate(target: Option<Target>, text: String) -> Vec<Diagnostic> {
        match config::read(&text) {
            Ok(config) => G::validate(target.as_ref(), &config),
            Err(finding) => vec![finding],
        }
    }
}

impl<G: Generator> Work for Exported<G> {
    fn resolve(target: Target, text: String, previous: Option<Locked>) -> Result<LockFile, Error> {
        let config = config::accept::<G>(&target, &text)?;
        G::resolve(&target, &config, previous)
    }

    fn generate(
        target: Target,
        text: String,
        pinned: Locked,
        who: Option<Instance>,
        dest: &Sink,
    ) -> Result<Summary, Error> {
        let config = config::accept::<G>(&target, &text)?;
        G::generate(&target, &config, &pinned, who.as_ref(), dest)
    }
}

/// Makes a type that implements [`Generator`] the component's exports. Once in a crate of type `cdylib`.
///
/// On any other target than WebAssembly it only checks the type, so that `cargo test` runs on the developer's machine.
#[macro_export]
macro_rules! export {
    ($generator:ty) => {
        #[doc(hidden)]
        #[allow(dead_code)]
        type ExportedGenerator = $crate::Exported<$generator>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::export_bindings!(ExportedGenerator with_types_in $crate::bindings);
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_generator<G: $crate::Generator>() {}
            is_generator::<$generator>();
        };
    };
}

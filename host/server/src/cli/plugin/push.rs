//! `bootsplice plugin push`.

use std::path::{Path, PathBuf};

use bootsplice_engine::fetch::FetchPolicy;
use bytes::Bytes;
use clap::Args;
use oci_client::RegistryOperation;
use serde::Serialize;
use time::OffsetDateTime;

use super::registry::{failed, open};
use super::workplace::Workplace;
use crate::author::project::{component_of, read_component};
use crate::cli::exit::Code;
use crate::cli::{Failure, Global, Output};
use crate::oci::artifact::{Artifact, Interfaces};
use crate::oci::reference::{Reference, Version};

const EXAMPLES: &str = "\
Examples:
  bootsplice plugin push acme/hello:1.2.0                        # the project in this directory, to the host of --url
  bootsplice plugin push build/hello.wasm acme/hello:1.2.0
  bootsplice plugin push ./hello registry.example/acme/hello:1.2.0

A version is pushed once: another component under the same version is refused. What is pushed is inspected by the host
before it is taken. Other registries are asked with BOOTSPLICE_REGISTRY_USER and BOOTSPLICE_REGISTRY_PASSWORD.";

/// Push a component to a registry, this host's or another.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Push {
    /// `[DIR|FILE.wasm] REF`: what to push (the project in this directory), and where: `[HOST/]NAMESPACE/NAME:VERSION`.
    #[arg(required = true, num_args = 1..=2, value_name = "DIR|FILE.wasm> <REF")]
    what: Vec<String>,
    #[command(flatten)]
    workplace: Workplace,
}

/// What was pushed.
#[derive(Serialize)]
struct Pushed {
    reference: String,
    /// Of the manifest: what signatures are about.
    manifest: String,
    /// Of the component: what profiles are pinned to.
    component: String,
    size: u64,
}

// === impl Push ===

impl Push {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let (place, reference) = match &*self.what {
            [reference] => (PathBuf::from("."), reference),
            [place, reference, ..] => (PathBuf::from(place), reference),
            [] => return Err(Failure::usage("name what to push and where to")),
        };
        let reference: Reference = reference
            .parse()
            .map_err(|error| Failure::usage(format!("{error}")))?;
        let Version::Tag(tag) = &reference.version else {
            return Err(Failure::usage(
                "a component is pushed under a version, not under a digest: `acme/hello:1.2.0`",
            ));
        };
        let path = component_of(&place)
            .map_err(|error| Failure::new(Code::NotFound, error.to_string()))?;
        let component = read_component(&path)
            .map_err(|error| Failure::new(Code::Invalid, error.to_string()))?;
        let artifact = self.artifact(&path, component, tag).await?;
        let remote = open(global, &reference)?;
        remote
            .enter(RegistryOperation::Push)
            .await
            .map_err(failed)?;
        remote
            .push_blob(&artifact.component)
            .await
            .map_err(failed)?;
        remote.push_blob(&artifact.config).await.map_err(failed)?;
        let manifest = remote
            .push_manifest(None, &artifact.manifest)
            .await
            .map_err(failed)?;
        let pushed = Pushed {
            reference: reference.to_string(),
            manifest: manifest.to_string(),
            component: artifact.manifest.layers[0].digest.clone(),
            size: artifact.component.len() as u64,
        };
        output.answer(&pushed, || {
            format!(
                "pushed {}\n  manifest   {}\n  component  {} ({} bytes)",
                pushed.reference, pushed.manifest, pushed.component, pushed.size
            )
        });
        Ok(())
    }

    /// Looks at the component as a host will, so that what it would refuse is told before anything is sent.
    async fn artifact(
        &self,
        path: &Path,
        component: Bytes,
        tag: &str,
    ) -> Result<Artifact, Failure> {
        let sandbox = self.workplace.open(FetchPolicy::default())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let plugin = sandbox
            .load(component.clone(), &name)
            .await
            .map_err(|error| {
                Failure::new(Code::Invalid, format!("`{}`: {error}", path.display()))
            })?;
        let descriptor = plugin.descriptor();
        let is_version = tag.starts_with(|first: char| first.is_ascii_digit());
        if is_version && descriptor.version != tag {
            return Err(Failure::new(
                Code::Invalid,
                format!(
                    "`{}` says that it is version {}, and would be pushed as {tag}: push it as `…:{}`, or change the version in its descriptor",
                    path.display(),
                    descriptor.version,
                    descriptor.version
                ),
            ));
        }
        let inspection = plugin.inspection();
        let interfaces = Interfaces {
            imports: inspection.imports.clone(),
            exports: inspection.exports.clone(),
        };
        Ok(Artifact::new(
            component,
            &interfaces,
            descriptor,
            made(path),
        )?)
    }
}

/// When the component was made: SOURCE_DATE_EPOCH, or else its file's time.
fn made(path: &Path) -> OffsetDateTime {
    let said = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|epoch| epoch.parse().ok())
        .and_then(|epoch| OffsetDateTime::from_unix_timestamp(epoch).ok());
    said.or_else(|| {
        let changed = std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()?;
        let whole = OffsetDateTime::from(changed);
        whole.replace_nanosecond(0).ok()
    })
    .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

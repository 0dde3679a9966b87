//! `bootsplice volume`: on an object store, without a running host.

use std::path::PathBuf;
use std::sync::Arc;

use bootsplice_blocks::{BlocksError, open_store};
use bootsplice_import::{
    Format, ImportError, ImportRequest, Isolation, Progress, export, import, inspect, list,
    parse_point, parse_size, verify,
};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use object_store::ObjectStore;

use super::exit::Code;
use super::{Failure, Output};

#[derive(Subcommand)]
pub enum Volume {
    /// Bring a disk image into a store, with insertion points appended.
    #[command(
        after_help = "Example: bootsplice volume import debian-12.qcow2 --store file:///srv/volumes --name debian-12 --point base=512MiB --point users=256MiB,stage=late"
    )]
    Import {
        image: PathBuf,
        #[command(flatten)]
        store: Place,
        /// The name that launches use.
        #[arg(long)]
        name: String,
        /// raw, qcow2, vmdk, vdi, vhdx, vhd …; by the file's extension when absent, never by its content.
        #[arg(long)]
        format: Option<String>,
        /// NAME=SIZE[,stage=files|packages|late]; several times for several.
        #[arg(long = "point")]
        points: Vec<String>,
        /// Size of the volume; free space lies before the points, so that the root can grow.
        #[arg(long)]
        size: Option<String>,
        /// A directory with room for the converted image.
        #[arg(long, env = "TMPDIR", default_value = "/tmp")]
        scratch: PathBuf,
        /// Convert the image even where the kernel cannot cut qemu-img off from the network.
        #[arg(long)]
        allow_network: bool,
    },
    /// Show what a volume is and holds.
    Inspect {
        name: String,
        #[command(flatten)]
        store: Place,
    },
    /// Hash every stored byte again; fails with the first fault.
    Verify {
        name: String,
        #[command(flatten)]
        store: Place,
    },
    /// List the names of a store.
    List {
        #[command(flatten)]
        store: Place,
    },
    /// Write a volume to a raw file.
    Export {
        name: String,
        #[command(flatten)]
        store: Place,
        /// The file to make.
        #[arg(long, short = 'f')]
        file: PathBuf,
    },
}

/// Where the volumes are.
#[derive(Args)]
pub struct Place {
    /// The object store: file://, s3://, gs:// or az://; credentials come from the environment.
    #[arg(long, env = "BOOTSPLICE_STORE")]
    store: String,
}

// === impl Volume ===

impl Volume {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Import {
                image,
                store,
                name,
                format,
                points,
                size,
                scratch,
                allow_network,
            } => {
                let request = ImportRequest {
                    image,
                    format: format.map(|text| text.parse::<Format>()).transpose()?,
                    name,
                    points: points
                        .iter()
                        .map(|text| parse_point(text))
                        .collect::<Result<_, _>>()?,
                    size: size.map(|text| parse_size(&text)).transpose()?,
                    scratch,
                    isolation: if allow_network {
                        Isolation::WherePossible
                    } else {
                        Isolation::Required
                    },
                };
                let report = import(store.open()?, request, bar("importing")).await?;
                for warning in &report.warnings {
                    eprintln!("bootsplice: warning: {warning}");
                }
                output.answer(&report, || format!("{} {}", report.name, report.volume));
            }
            Self::Inspect { name, store } => {
                let found = inspect(&store.open()?, &name).await?;
                let text = serde_json::to_string_pretty(&found)
                    .map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
                output.answer(&found, || text);
            }
            Self::Verify { name, store } => {
                let found = verify(&store.open()?, &name, bar("verifying")).await?;
                let verdict = match found.fault {
                    None => "are right",
                    Some(_) => "were right before the fault",
                };
                output.answer(&found, || {
                    let (objects, blocks, bytes) = (found.objects, found.blocks, found.bytes);
                    format!("{objects} objects and {blocks} blocks {verdict}; {bytes} bytes of packs read")
                });
                if let Some(fault) = &found.fault {
                    let message = format!(
                        "the volume `{name}` is damaged: {}: {}",
                        fault.object, fault.reason
                    );
                    return Err(Failure::new(Code::Failure, message));
                }
            }
            Self::List { store } => {
                let names = list(&store.open()?).await?;
                let rows = names.iter().map(|named| {
                    [
                        named.name.clone(),
                        named.volume.to_string(),
                        named.placement.to_string(),
                    ]
                });
                output.table(&names, ["NAME", "VOLUME", "PLACEMENT"], rows.collect());
            }
            Self::Export { name, store, file } => {
                let volume = export(&store.open()?, &name, &file, bar("exporting")).await?;
                output.answer(
                    &serde_json::json!({ "name": name, "volume": volume, "file": file }),
                    || format!("{name} {volume}"),
                );
            }
        }
        Ok(())
    }
}

// === impl Place ===

impl Place {
    fn open(&self) -> Result<Arc<dyn ObjectStore>, Failure> {
        open(&self.store)
    }
}

/// Opens an object store with the environment's credentials.
pub(super) fn open(url: &str) -> Result<Arc<dyn ObjectStore>, Failure> {
    open_store(url, std::env::vars()).map_err(|error| {
        let code = match &error {
            BlocksError::Invalid { .. } => Code::Usage,
            _ => Code::Unavailable,
        };
        Failure::new(code, error.to_string())
    })
}

/// A bar on the error stream; nothing where that is no terminal.
fn bar(verb: &'static str) -> impl FnMut(Progress) + Send + 'static {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let style = "{prefix} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_prefix(verb);
    move |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        if progress.done >= progress.total {
            bar.finish_and_clear();
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let code = match &error {
            ImportError::Invalid { .. } => Code::Usage,
            ImportError::Image { .. } | ImportError::Volume(_) => Code::Invalid,
            ImportError::NoVolume(_) => Code::NotFound,
            ImportError::Conflict(_) | ImportError::Claimed { .. } => Code::Conflict,
            ImportError::Store { .. } => Code::Unavailable,
            ImportError::Tool { .. }
            | ImportError::Isolation(_)
            | ImportError::File { .. }
            | ImportError::Damaged { .. }
            | ImportError::Cancelled => Code::Failure,
        };
        Self::new(code, error.to_string())
    }
}

//! `bootsplice secret`.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use reqwest::Method;

use super::exit::Code;
use super::wire::{after, date, segment};
use super::{Failure, Global, Output};
use crate::api::{SecretBody, SecretList};
use crate::secret::MAX_SECRET;

#[derive(Subcommand)]
pub enum Secret {
    /// Write a secret. It cannot be read back.
    #[command(
        after_help = "Examples:\n  printf %s \"$KEY\" | bootsplice secret put ada-api-key\n  bootsplice secret put ada-api-key -f key.txt"
    )]
    Put {
        name: String,
        /// The value, byte for byte; standard input when absent. Never an argument: other users can see those.
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// List names.
    List,
    /// Delete a secret. Launches that need it fail from now on.
    Delete { name: String },
}

// === impl Secret ===

impl Secret {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Put { name, file } => {
                let body = SecretBody {
                    value: None,
                    base64: Some(STANDARD.encode(value(file)?)),
                };
                let path = format!("/v1/secrets/{}", segment(&name));
                client
                    .json::<_, ()>(Method::PUT, &path, Some(&body), &[])
                    .await?;
            }
            Self::List => {
                let mut all = SecretList {
                    secrets: Vec::new(),
                    next: None,
                };
                loop {
                    let path = after("/v1/secrets", all.next.as_deref());
                    let page: SecretList = client.get(&path).await?;
                    all.secrets.extend(page.secrets);
                    all.next = page.next;
                    if all.next.is_none() {
                        break;
                    }
                }
                let rows = all.secrets.iter();
                let rows = rows.map(|secret| [secret.name.clone(), date(secret.updated)]);
                output.table(&all.secrets, ["NAME", "WRITTEN"], rows.collect());
            }
            Self::Delete { name } => {
                client
                    .delete(&format!("/v1/secrets/{}", segment(&name)))
                    .await?;
            }
        }
        Ok(())
    }
}

fn value(file: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = MAX_SECRET as u64 + 1;
    let (read, name) = match &file {
        Some(path) => {
            let opened = std::fs::File::open(path);
            let read = opened.and_then(|file| file.take(most).read_to_end(&mut bytes));
            (read, path.display().to_string())
        }
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                return Err(Failure::usage(
                    "pipe the value in, or give it with `--file`",
                ));
            }
            (
                input.take(most).read_to_end(&mut bytes),
                "standard input".to_owned(),
            )
        }
    };
    read.map_err(|error| Failure::new(Code::Failure, format!("cannot read {name}: {error}")))?;
    if bytes.len() > MAX_SECRET {
        let message = format!("{name} is longer than {MAX_SECRET} bytes");
        return Err(Failure::new(Code::Invalid, message));
    }
    Ok(bytes)
}

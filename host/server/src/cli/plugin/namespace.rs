//! `bootsplice plugin namespace`.

use clap::Args;
use reqwest::Method;

use crate::api::{NamespaceBody, NamespaceList, NamespaceView};
use crate::auth::{Namespace as Name, Tenant};
use crate::cli::wire::{after, date};
use crate::cli::{Failure, Global, Output};

/// List namespaces, or say who sees one.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bootsplice plugin namespace\n  bootsplice plugin namespace acme --owner acme --share web"
)]
pub struct Namespace {
    /// Absent: list all that you see.
    name: Option<Name>,
    /// Whose it is. It never changes hands.
    #[arg(long, requires = "name")]
    owner: Option<Tenant>,
    /// Every tenant may use what is in it.
    #[arg(long, requires = "name")]
    public: bool,
    /// A tenant that may use what is in it; several times for several. Those not named here do not.
    #[arg(long = "share", requires = "name")]
    readers: Vec<Tenant>,
}

// === impl Namespace ===

impl Namespace {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let Some(name) = self.name else {
            let mut all: NamespaceList = client.get("/v1/namespaces").await?;
            while let Some(next) = all.next.take() {
                let path = after("/v1/namespaces", Some(&next));
                let page: NamespaceList = client.get(&path).await?;
                all.namespaces.extend(page.namespaces);
                all.next = page.next;
            }
            let rows = all.namespaces.iter().map(|one| {
                [
                    one.namespace.to_string(),
                    one.owner.to_string(),
                    seen_by(one),
                    date(one.created),
                ]
            });
            let head = ["NAMESPACE", "OWNER", "SEEN BY", "CREATED"];
            output.table(&all.namespaces, head, rows.collect());
            return Ok(());
        };
        let body = NamespaceBody {
            owner: self.owner,
            public: self.public,
            readers: self.readers.into_iter().collect(),
        };
        let path = format!("/v1/namespaces/{name}");
        let answer = client
            .json::<_, NamespaceView>(Method::PUT, &path, Some(&body), &[])
            .await?;
        let done = &answer.value;
        output.answer(done, || {
            format!(
                "{} of {}, seen by {}",
                done.namespace,
                done.owner,
                seen_by(done)
            )
        });
        Ok(())
    }
}

fn seen_by(one: &NamespaceView) -> String {
    if one.public {
        return "everybody".to_owned();
    }
    let mut names = vec![one.owner.to_string()];
    names.extend(one.readers.iter().map(ToString::to_string));
    names.join(", ")
}

//! `bootsplice token`.

use clap::Subcommand;
use reqwest::Method;

use super::wire::{after, date, segment};
use super::{Failure, Global, Output};
use crate::api::{NewTokenBody, TokenCreated, TokenList};
use crate::auth::{Namespace, Tenant, Verb};

#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it; it is shown this once.
    #[command(
        after_help = "Example: bootsplice token create --tenant web --verb launches:write --verb launches:read --expires-in 86400\n         bootsplice token create --tenant acme --verb plugins:read --verb plugins:write --namespace acme"
    )]
    Create {
        /// Whose things it is for; your own tenant when absent.
        #[arg(long)]
        tenant: Option<Tenant>,
        /// What it may do; several times for several.
        #[arg(long = "verb", required = true)]
        verbs: Vec<Verb>,
        /// Where it may push plugins, with `--verb plugins:write`; several times for several. One that is nobody's becomes the tenant's.
        #[arg(long = "namespace")]
        namespaces: Vec<Namespace>,
        /// What it is for.
        #[arg(long, default_value = "")]
        label: String,
        /// Seconds until it ends; never when absent.
        #[arg(long)]
        expires_in: Option<i64>,
    },
    /// List tokens, without their secrets.
    List,
    /// End a token at once.
    Revoke { id: String },
}

// === impl Token ===

impl Token {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Create {
                tenant,
                verbs,
                namespaces,
                label,
                expires_in,
            } => {
                let body = NewTokenBody {
                    tenant,
                    label,
                    verbs,
                    namespaces,
                    expires_in,
                };
                let created = client
                    .json::<_, TokenCreated>(Method::POST, "/v1/tokens", Some(&body), &[])
                    .await?;
                output.answer(&created.value, || created.value.token.clone());
            }
            Self::List => {
                let mut all = TokenList {
                    tokens: Vec::new(),
                    next: None,
                };
                loop {
                    let path = after("/v1/tokens", all.next.as_deref());
                    let page: TokenList = client.get(&path).await?;
                    all.tokens.extend(page.tokens);
                    all.next = page.next;
                    if all.next.is_none() {
                        break;
                    }
                }
                let rows = all.tokens.iter().map(|token| {
                    let verbs: Vec<_> = token.verbs.iter().map(|verb| verb.as_str()).collect();
                    [
                        token.id.clone(),
                        token.tenant.to_string(),
                        verbs.join(","),
                        token.expires.map_or_else(|| "never".to_owned(), date),
                        token.label.clone(),
                    ]
                });
                output.table(
                    &all.tokens,
                    ["ID", "TENANT", "VERBS", "EXPIRES", "LABEL"],
                    rows.collect(),
                );
            }
            Self::Revoke { id } => {
                client
                    .delete(&format!("/v1/tokens/{}", segment(&id)))
                    .await?;
            }
        }
        Ok(())
    }
}

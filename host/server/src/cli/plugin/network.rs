//! What commands that run generators here let them fetch.

use bootsplice_engine::grant::UrlPrefix;
use clap::Args;

use crate::cli::Failure;
use crate::config::{Config, Grant};
use crate::local::reach::Reach;
use crate::plugins::fetch;

#[derive(Args)]
#[group(skip)]
pub struct Network {
    /// Let it fetch below this address, and no more. [default: what it asks for, of public web addresses]
    #[arg(long, value_name = "URL", value_parser = UrlPrefix::parse)]
    grant: Vec<UrlPrefix>,
    /// A private network that may be reached: 10.1.0.0/16
    #[arg(long, value_name = "CIDR")]
    private_network: Vec<String>,
}

// === impl Network ===

impl Network {
    /// Whether it was said what may be fetched.
    pub fn is_given(&self) -> bool {
        !self.grant.is_empty()
    }

    /// What it asks for, or what is granted; public networks and those that were named.
    pub fn reach(&self) -> Result<Reach, Failure> {
        let urls = self.grant.iter().map(|prefix| prefix.url().clone());
        let config = Config {
            private_networks: self.private_network.clone(),
            grants: vec![Grant {
                tenant: None,
                urls: urls.collect(),
            }],
            ..Config::default()
        };
        let policy =
            fetch::policy(&config).map_err(|error| Failure::usage(format!("{error:#}")))?;
        Ok(Reach {
            policy,
            granted: self.grant.clone(),
            wishes: self.grant.is_empty(),
        })
    }
}

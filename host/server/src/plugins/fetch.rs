//! What the operator's configuration means for the fetch layer.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use bootsplice_engine::fetch::{Bucket, FetchPolicy, Proxy};
use bootsplice_engine::grant::UrlPrefix;
use url::Url;

use crate::config::Config;

/// What the operator's grants mean for the fetch layer: roots of `file:` URLs and buckets. Prefixes of `https:` URLs are judged per step.
pub fn policy(config: &Config) -> anyhow::Result<FetchPolicy> {
    let mut policy = FetchPolicy::default();
    for url in config.grants.iter().flat_map(|grant| &grant.urls) {
        match url.scheme() {
            "file" => {
                let Ok(path) = url.to_file_path() else {
                    bail!("the grant `{url}` is no path");
                };
                policy.roots.push(path);
            }
            "s3" | "gs" | "az" => {
                let bucket = bucket(url)?;
                policy.buckets.push(bucket);
            }
            _ => {}
        }
    }
    for path in &config.fetch.certificates {
        let pem = std::fs::read(path)
            .with_context(|| format!("`fetch.certificates`: `{}`", path.display()))?;
        policy.extra_roots.push(pem);
    }
    policy.per_origin = config.fetch.per_origin;
    policy.proxy = config.fetch.proxy.as_ref().map(|url| Proxy {
        url: url.clone(),
        direct: config.fetch.direct.clone(),
    });
    for network in &config.private_networks {
        let network = network
            .parse()
            .map_err(|error| anyhow::anyhow!("`private_networks`: `{network}`: {error}"))?;
        policy.allow_networks.push(network);
    }
    Ok(policy)
}

/// A bucket with the credentials of the process's environment.
fn bucket(url: &Url) -> anyhow::Result<Bucket> {
    let root = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    let options = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
    let (store, _) = object_store::parse_url_opts(&Url::parse(&root)?, options)
        .with_context(|| format!("cannot open the bucket `{root}`"))?;
    Ok(Bucket {
        prefix: UrlPrefix::parse(&root)?,
        store: Arc::from(store),
    })
}

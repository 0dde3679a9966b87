//! Object stores by URL.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::{BlocksError, Result};

/// The schemes that [`open_store`] knows, for messages.
pub const SCHEMES: &str = "file:///DIRECTORY, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, https://HOST/PREFIX or memory:///";

/// Opens the store at `url`; object paths are relative to the URL's path.
///
/// `environment` gives the options of the clouds' own variable names (`AWS_REGION`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`,
/// `AZURE_STORAGE_ACCOUNT_NAME` …); callers pass `std::env::vars()`. A `file` URL needs an existing directory, and its writes
/// are synced. Every `memory` URL is a new, empty store.
pub fn open_store(
    url: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Arc<dyn ObjectStore>> {
    let invalid = |expected: String| BlocksError::Invalid {
        what: "store URL",
        found: url.to_owned(),
        expected,
    };
    let parsed = Url::parse(url).map_err(|error| invalid(format!("{SCHEMES} ({error})")))?;
    if parsed.scheme() == "file" {
        return open_directory(&parsed);
    }
    let (scheme, prefix) = ObjectStoreScheme::parse(&parsed)
        .map_err(|error| invalid(format!("{SCHEMES} ({error})")))?;
    let options: Vec<(String, String)> = environment
        .into_iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    // Options that a cloud does not know are other programs' variables.
    macro_rules! build {
        ($builder:ty) => {
            options
                .iter()
                .fold(
                    <$builder>::new().with_url(url).with_retry(client_retry()),
                    |builder, (key, value)| match key.parse() {
                        Ok(key) => builder.with_config(key, value),
                        Err(_) => builder,
                    },
                )
                .build()
                .map(|store| Arc::new(PrefixStore::new(store, prefix)) as Arc<dyn ObjectStore>)
        };
    }
    match scheme {
        ObjectStoreScheme::Memory => Ok(Arc::new(PrefixStore::new(InMemory::new(), prefix))),
        ObjectStoreScheme::AmazonS3 => build!(AmazonS3Builder).map_err(|e| invalid(e.to_string())),
        ObjectStoreScheme::GoogleCloudStorage => {
            build!(GoogleCloudStorageBuilder).map_err(|e| invalid(e.to_string()))
        }
        ObjectStoreScheme::MicrosoftAzure => {
            build!(MicrosoftAzureBuilder).map_err(|e| invalid(e.to_string()))
        }
        ObjectStoreScheme::Http => HttpBuilder::new()
            .with_url(&parsed[..url::Position::BeforePath])
            .with_retry(client_retry())
            .build()
            .map(|store| Arc::new(PrefixStore::new(store, prefix)) as Arc<dyn ObjectStore>)
            .map_err(|error| invalid(error.to_string())),
        _ => Err(invalid(SCHEMES.to_owned())),
    }
}

fn open_directory(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let invalid = |expected: String| BlocksError::Invalid {
        what: "store URL",
        found: url.to_string(),
        expected,
    };
    let directory = url
        .to_file_path()
        .map_err(|()| invalid("file:///DIRECTORY with an absolute path and no host".into()))?;
    if !FilePath::new(&directory).is_dir() {
        return Err(invalid(format!(
            "an existing directory; make it first: mkdir -p {}",
            directory.display()
        )));
    }
    let store = LocalFileSystem::new_with_prefix(&directory)
        .map_err(|error| invalid(error.to_string()))?
        .with_fsync(true);
    Ok(Arc::new(store))
}

/// Reads have their own patience above this; the client's own retries only bridge a lost connection, also for writes.
fn client_retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 1,
        retry_timeout: Duration::from_secs(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{ObjectStoreExt, path::Path};

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[tokio::test]
    async fn paths_are_relative_to_the_url() {
        let root = tempfile::tempdir().unwrap();
        let url = format!("file://{}", root.path().display());
        let store = open_store(&url, []).unwrap();
        let path = Path::from("packs/a");
        store.put(&path, "bytes".into()).await.unwrap();
        assert_eq!(
            std::fs::read(root.path().join("packs/a")).unwrap(),
            b"bytes"
        );
        let memory = open_store("memory:///some/prefix", []).unwrap();
        memory.put(&path, "bytes".into()).await.unwrap();
        assert_eq!(
            memory.get(&path).await.unwrap().bytes().await.unwrap(),
            "bytes"
        );
    }

    #[test]
    fn every_cloud_is_opened_from_its_own_variables() {
        let s3 = environment(&[
            ("AWS_REGION", "eu-central-1"),
            ("HOME", "/root"),
            ("AWS_SKIP_SIGNATURE", "true"),
        ]);
        assert!(open_store("s3://bucket/volumes", s3).is_ok());
        let azure = environment(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", "name"),
            ("AZURE_SKIP_SIGNATURE", "true"),
        ]);
        assert!(open_store("az://container/volumes", azure).is_ok());
        let gcs = environment(&[("GOOGLE_SKIP_SIGNATURE", "true")]);
        assert!(open_store("gs://bucket/volumes", gcs).is_ok());
    }

    #[test]
    fn a_wrong_url_says_what_was_expected() {
        for url in [
            "",
            "disk",
            "ftp://host/x",
            "file:///no/such/directory",
            "file://host/x",
        ] {
            let error = open_store(url, []).unwrap_err();
            assert!(
                matches!(error, BlocksError::Invalid { .. }),
                "{url}: {error}"
            );
        }
    }
}

//! The image that a profile is resolved against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bootsplice_content::Digest;
use bootsplice_engine::blobs::Blob;
use bootsplice_import::{apt_files, inspect, installed_package, os_release};
use bootsplice_volume::paths;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::lock::document::Target;

/// Largest file that is read: dpkg's status of some 10,000 packages.
const LARGEST: u64 = 64 << 20;

/// What generators see of an image.
pub struct Base {
    /// Of the dpkg status, or the volume's id.
    pub digest: Digest,
    pub target: Target,
    pub files: Arc<BTreeMap<String, Blob>>,
}

/// A dpkg status file with the settings of an apt beside it.
pub struct Status<'a> {
    pub file: &'a Path,
    /// The root directory whose `etc/apt` and `usr/share/keyrings` count. None: this machine's.
    pub apt_root: Option<&'a Path>,
    /// None: that of the package `dpkg` in the status file.
    pub architecture: Option<&'a str>,
}

// === impl Base ===

impl Base {
    pub fn of_status(given: &Status<'_>) -> anyhow::Result<Self> {
        let status = read(given.file).context("--base-status")?;
        let digest = Digest::of(&status);
        let text = String::from_utf8_lossy(&status);
        let shown = given.file.display();
        if !text.lines().any(|line| line.starts_with("Package:")) && !text.trim().is_empty() {
            bail!(
                "--base-status: `{shown}` has no line `Package: …`: expected a copy of the image's /var/lib/dpkg/status"
            );
        }
        let architecture = match given.architecture {
            Some(said) => said.to_owned(),
            None => installed_package(&text, "dpkg")
                .map(|(_, architecture)| architecture)
                .with_context(|| {
                    format!(
                        "--base-status: `{shown}` has no installed package `dpkg` to tell the architecture by: give `--architecture`, such as amd64"
                    )
                })?,
        };
        drop(text);
        let root = given.apt_root.unwrap_or(Path::new("/"));
        if !root.is_dir() {
            bail!(
                "--apt-root: `{}` is no directory: expected one with etc/apt in it",
                root.display()
            );
        }
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        let mut files = BTreeMap::from([("dpkg-status".to_owned(), Blob::from_bytes(status))]);
        for path in apt_files(root) {
            // What this machine has installed and marked says nothing of the image.
            if given.apt_root.is_some() || !path.starts_with("/var/lib/") {
                files.insert(path.clone(), Blob::from_bytes(read(&below(&path))?));
            }
        }
        let release: Vec<PathBuf> = ["/etc/os-release", "/usr/lib/os-release"].map(below).into();
        let release = release.iter().find(|path| path.is_file());
        let release = release.map(|path| read(path)).transpose()?;
        let said = os_release(&String::from_utf8_lossy(
            &release.clone().unwrap_or_default(),
        ));
        if let Some(release) = release {
            files.insert("os-release".to_owned(), Blob::from_bytes(release));
        }
        let text = |keys: &[&str]| {
            let found = keys.iter().find_map(|key| said.get(*key));
            found.cloned().unwrap_or_default()
        };
        Ok(Self {
            digest,
            target: Target {
                distribution: text(&["ID"]),
                release: text(&["VERSION_CODENAME", "VERSION_ID"]),
                architecture,
            },
            files: Arc::new(files),
        })
    }

    /// An imported volume, from its store.
    pub async fn of_volume(store: &Arc<dyn ObjectStore>, name: &str) -> anyhow::Result<Self> {
        let found = inspect(store, name).await?;
        let mut files = BTreeMap::new();
        for (name, file) in &found.inventory.files {
            let path = paths::inventory_file(&file.digest);
            if file.size > LARGEST {
                bail!(
                    "`{path}` has {} bytes; at most {LARGEST} are read",
                    file.size
                );
            }
            let object = store.get(&path.as_str().into()).await;
            let bytes = object.with_context(|| format!("cannot read `{path}`"))?;
            let bytes = bytes.bytes().await?;
            if Digest::of(&bytes) != file.digest {
                bail!("`{path}` is damaged: its digest is another");
            }
            files.insert(name.clone(), Blob::from_bytes(bytes));
        }
        let inventory = &found.inventory;
        Ok(Self {
            digest: found.volume,
            target: Target {
                distribution: inventory.distro().to_owned(),
                release: inventory.release().to_owned(),
                architecture: inventory.architecture.clone().unwrap_or_default(),
            },
            files: Arc::new(files),
        })
    }

    /// The texts that say where its packages come from.
    pub fn sources(&self) -> Vec<String> {
        let named = |path: &str| {
            path == "/etc/apt/sources.list" || path.starts_with("/etc/apt/sources.list.d/")
        };
        let files = self.files.iter().filter(|(path, _)| named(path));
        files
            .filter_map(|(_, blob)| blob.to_bytes().ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?
        .len();
    if size > LARGEST {
        bail!(
            "`{}` has {size} bytes; at most {LARGEST} are read",
            path.display()
        );
    }
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Package: dpkg\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.21\n\n";

    #[test]
    fn a_status_file_and_an_apt_root_make_a_base() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (path, text) in [
            ("etc/apt/sources.list.d/a.sources", "Types: deb\n"),
            ("etc/apt/sources.list.d/a.sources.bak", "no"),
            ("etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n"),
            ("var/lib/dpkg/arch", "arm64\nriscv64\n"),
            ("status", STATUS),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let file = root.join("status");
        let base = Base::of_status(&Status {
            file: &file,
            apt_root: Some(root),
            architecture: None,
        })
        .unwrap();
        let names: Vec<&str> = base.files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "/etc/apt/sources.list.d/a.sources",
                "/var/lib/dpkg/arch",
                "dpkg-status",
                "os-release"
            ]
        );
        assert_eq!(base.target.architecture, "arm64");
        assert_eq!(base.target.release, "trixie");
        assert_eq!(base.digest, Digest::of(STATUS.as_bytes()));
        assert_eq!(base.sources(), ["Types: deb\n"]);
    }

    #[test]
    fn a_status_file_that_is_none_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status");
        let refusal = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let given = Status {
                file: &file,
                apt_root: Some(dir.path()),
                architecture: None,
            };
            format!("{:#}", Base::of_status(&given).err().unwrap())
        };
        assert!(refusal("hello\n").contains("/var/lib/dpkg/status"));
        assert!(refusal("Package: bash\n").contains("--architecture"));
        std::fs::remove_file(&file).unwrap();
        let given = Status {
            file: &file,
            apt_root: None,
            architecture: None,
        };
        let told = format!("{:#}", Base::of_status(&given).err().unwrap());
        assert!(told.starts_with("--base-status: cannot read"), "{told}");
    }
}

//! Compiled plugins on disk: the one place where bytes become executable code.
//!
//! `Component::deserialize_file` trusts its input entirely: whoever controls the bytes controls the process. So an artefact is taken only with a
//! valid MAC (HMAC-SHA256 under a key that lies in the state directory, mode 0600) over the component's digest, the fingerprint of the
//! settings and the artefact's bytes. The compiler's output gets its MAC from the engine, as it comes back from the child that the engine
//! started. wasmtime itself refuses artefacts of another version or of other settings.
//!
//! This is the crate's only `unsafe` code.

#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bootsplice_content::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

use crate::blobs::private_dir;
use crate::config::fingerprint;
use crate::error::EngineError;

/// Bytes read at a time for a MAC.
const PIECE: usize = 256 * 1024;

/// Compiled components of one state directory.
pub struct Artefacts {
    directory: PathBuf,
    metered: bool,
    key: Zeroizing<[u8; 32]>,
}

// === impl Artefacts ===

impl Artefacts {
    /// Opens the directory, making the key on first use. Metered code lies beside the other, under names of its own.
    pub fn open(state: &Path, metered: bool) -> Result<Self, EngineError> {
        let directory = state.join("artefacts");
        private_dir(&directory)
            .map_err(EngineError::io(format!("making {}", directory.display())))?;
        let path = directory.join("key");
        let key =
            read_key(&path).map_err(EngineError::io(format!("the key {}", path.display())))?;
        Ok(Self {
            directory,
            metered,
            key,
        })
    }

    /// Takes what the compiler wrote, with its MAC beside it, in place of any older form.
    pub fn put(&self, plugin: &Digest, artefact: &[u8]) -> Result<(), EngineError> {
        let mut mac = self.mac(plugin);
        mac.update(artefact);
        let tag = mac.finalize().into_bytes();
        // A crash between the two leaves a MAC that fits nothing, and the component is compiled anew.
        for (path, bytes) in [
            (self.path(plugin), artefact),
            (self.tag_path(plugin), &tag[..]),
        ] {
            let write = || -> io::Result<()> {
                let mut aside = tempfile::NamedTempFile::new_in(&self.directory)?;
                aside.write_all(bytes)?;
                aside.as_file().sync_all()?;
                aside.persist(&path)?;
                File::open(&self.directory)?.sync_all()
            };
            write().map_err(EngineError::io(format!("writing {}", path.display())))?;
        }
        Ok(())
    }

    /// Loads a component whose MAC is right. Anything else is refused before wasmtime sees it.
    ///
    /// The file is read once for its MAC and then mapped, not copied: pages come from the system's cache when code first runs. Both use one open
    /// file, so nobody can put another in its place between them; and files here are only ever replaced, never written to. Who can write into
    /// them all the same is the owner of the directory, who can read the key as well: the MAC keeps out damage, backups and other hosts' files.
    pub fn load(&self, engine: &Engine, plugin: &Digest) -> Result<Component, EngineError> {
        let path = self.path(plugin);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => EngineError::NotInstalled(*plugin),
            _ => EngineError::io(format!("reading {}", path.display()))(error),
        };
        let refused = |reason: String| EngineError::Artefact {
            plugin: *plugin,
            reason,
        };
        let file = File::open(&path).map_err(failed)?;
        let tag = fs::read(self.tag_path(plugin)).map_err(failed)?;
        let mut mac = self.mac(plugin);
        let mut pieces = vec![0; PIECE];
        loop {
            let count = (&file).read(&mut pieces).map_err(failed)?;
            if count == 0 {
                break;
            }
            mac.update(&pieces[..count]);
        }
        mac.verify_slice(&tag).map_err(|_| {
            refused("its MAC is wrong: it was changed, or another host wrote it".into())
        })?;
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: the MAC shows that the bytes of this very file came from our own compiler and were put here by this engine, under a key that
        // only the owner of the state directory can read; and they stay as they are while mapped, as said above. That is what
        // `deserialize_file` asks for: an unchanging file of bytes from `Component::serialize`.
        let component = unsafe { Component::deserialize_file(engine, open) };
        component.map_err(|error| refused(format!("{error:#}")))
    }

    /// Deletes an artefact, if it is there.
    pub fn remove(&self, plugin: &Digest) -> Result<(), EngineError> {
        for path in [self.path(plugin), self.tag_path(plugin)] {
            let doing = format!("deleting {}", path.display());
            remove(&path).map_err(EngineError::io(doing))?;
        }
        Ok(())
    }

    /// A MAC that the artefact's bytes are still to be added to.
    fn mac(&self, plugin: &Digest) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.key).expect("HMAC takes a key of any length");
        mac.update(b"bootsplice/artefact/v2\0");
        mac.update(fingerprint(self.metered).as_bytes());
        mac.update(b"\0");
        mac.update(plugin.as_bytes());
        mac
    }

    fn path(&self, plugin: &Digest) -> PathBuf {
        let kind = if self.metered {
            "metered.cwasm"
        } else {
            "cwasm"
        };
        self.directory.join(format!("{}.{kind}", plugin.hex()))
    }

    fn tag_path(&self, plugin: &Digest) -> PathBuf {
        self.path(plugin).with_extension("mac")
    }
}

/// Deletes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The key, made from the system's randomness when there is none yet.
fn read_key(path: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    match File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut *key)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open("/dev/urandom")?.read_exact(&mut *key)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(&*key)?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_our_mac_never_reach_the_loader() {
        let state = tempfile::tempdir().unwrap();
        let artefacts = Artefacts::open(state.path(), false).unwrap();
        let engine = Engine::new(&crate::config::config(false)).unwrap();
        let plugin = Digest::of(b"component");
        let reason = |artefacts: &Artefacts, plugin: &Digest| match artefacts.load(&engine, plugin)
        {
            Err(EngineError::Artefact { reason, .. }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was loaded"),
        };
        artefacts.put(&plugin, b"what a compiler wrote").unwrap();
        // Under the right MAC the bytes get as far as wasmtime, which knows that they are none of its own.
        assert!(!reason(&artefacts, &plugin).contains("MAC"));

        let path = artefacts.path(&plugin);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, bad).unwrap();
            assert!(reason(&artefacts, &plugin).contains("MAC"), "byte {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(reason(&artefacts, &plugin).contains("MAC"));
        fs::write(&path, &good).unwrap();
        let tag = fs::read(artefacts.tag_path(&plugin)).unwrap();
        for bad in [&b""[..], &tag[1..], &[0; 32]] {
            fs::write(artefacts.tag_path(&plugin), bad).unwrap();
            assert!(reason(&artefacts, &plugin).contains("MAC"));
        }
        // The artefact of one plugin in the place of another.
        let other = Digest::of(b"another component");
        fs::write(artefacts.path(&other), &good).unwrap();
        fs::write(artefacts.tag_path(&other), &tag).unwrap();
        assert!(reason(&artefacts, &other).contains("MAC"));
        // Another host's state directory.
        let elsewhere = tempfile::tempdir().unwrap();
        let foreign = Artefacts::open(elsewhere.path(), false).unwrap();
        fs::write(foreign.path(&plugin), &good).unwrap();
        fs::write(foreign.tag_path(&plugin), &tag).unwrap();
        assert!(reason(&foreign, &plugin).contains("MAC"));
        assert!(matches!(
            foreign.load(&engine, &other),
            Err(EngineError::NotInstalled(_))
        ));
    }

    #[test]
    fn the_key_is_for_its_owner_alone_and_stays() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        let first = Artefacts::open(state.path(), false).unwrap();
        let mode = fs::metadata(state.path().join("artefacts/key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Artefacts::open(state.path(), false).unwrap().key, first.key);
    }
}

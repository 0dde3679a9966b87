//! Brings a disk image into an object store as a base volume.

//! Layers, frames, the signed header: the archive of a launch, written and read.

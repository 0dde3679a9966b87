//! What generators made, for people: what a launch would put on the disk, file by file, and how two of these differ.
//!
//! | room | what is in it |
//! |---|---|
//! | [`outcome`] | paths, modes, owners, contents, actions, notes, read back from layers |
//! | [`layers`] | the layers of a run, written as a launch writes them |
//! | [`tree`] | an outcome as files, which can be kept and compared |

pub mod layers;
pub mod outcome;
pub mod tree;

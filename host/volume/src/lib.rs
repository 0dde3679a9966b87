//! The volume documents, the partition table and the plan of a launch: pure, no input or output.

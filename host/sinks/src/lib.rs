//! Where a personalised volume goes: one file a sink, one conformance suite.

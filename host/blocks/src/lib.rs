//! Verified blocks from object stores: ranged reads, cache, single-flight.

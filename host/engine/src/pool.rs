//! How stores get their memory: from a pool, where the address space is large enough for one.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::config;

/// Largest linear memory that any grant can give.
const MAX_MEMORY: usize = 1 << 30;
/// What one component may have. The pool holds as much for every place: whoever has a place can be run, whatever runs in the others.
const CORE_INSTANCES: u32 = 64;
const MEMORIES: u32 = 8;
const TABLES: u32 = 16;
/// Bytes of a memory that stay mapped between runs (rule 29).
const KEEP_RESIDENT: usize = 256 << 10;
/// Bytes of a fiber's stack that are overwritten after a run instead of given back and faulted in again.
const KEEP_STACK: usize = 64 << 10;

/// An engine for `places` runs at a time, pooled if possible.
pub fn engine(places: u32, metered: bool) -> wasmtime::Result<Engine> {
    let mut pooled = config(metered);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(places)));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(%error, "no pool of instances; each run maps its own memory");
        let on_demand: Config = config(metered);
        Engine::new(&on_demand)
    })
}

fn pool(places: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places * CORE_INSTANCES)
        .total_memories(places * MEMORIES)
        .total_tables(places * TABLES)
        .total_stacks(places)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(2)
        .max_tables_per_module(2)
        .table_elements(20_000)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(KEEP_STACK)
        // Only what a run wrote to is put back. Where the kernel cannot say what that is (before Linux 6.7), the lowest bytes are.
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(16);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_and_the_largest_number_of_places_fit_a_pool() {
        for places in [64, 1024] {
            let mut pooled = config(false);
            pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(places)));
            Engine::new(&pooled).unwrap();
        }
    }
}

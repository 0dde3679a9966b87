//! How stores get their memory: from a pool, where the address space is large enough for one.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::config;

/// Largest linear memory that any grant can give.
const MAX_MEMORY: usize = 1 << 30;
/// Bytes of a memory that stay mapped between runs (rule 29).
const KEEP_RESIDENT: usize = 256 << 10;

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
        .total_core_instances(places * 16)
        .total_memories(places * 4)
        .total_tables(places * 4)
        .total_stacks(places)
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(16)
        .max_memories_per_module(2)
        .max_tables_per_module(2)
        .table_elements(20_000)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .decommit_batch_size(16);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_number_of_places_fits_a_pool() {
        let mut pooled = config(false);
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(64)));
        Engine::new(&pooled).unwrap();
    }
}

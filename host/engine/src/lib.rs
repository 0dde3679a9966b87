//! Runs generators: wasmtime, limits, and one module for each WIT interface.

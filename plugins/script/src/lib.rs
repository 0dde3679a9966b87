//! The script generator.

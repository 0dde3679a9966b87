//! Structured edits of configuration files that keep comments, order and line endings.

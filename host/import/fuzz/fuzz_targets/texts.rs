//! os-release, dpkg's status and keys in PEM from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bootsplice_import::fuzzing::texts(input));

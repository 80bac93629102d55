//! `mesa_decoders::manifest` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesa_decoders::manifest::check(data));

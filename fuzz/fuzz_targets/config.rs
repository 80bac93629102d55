//! `mesa_decoders::config` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesa_decoders::config::check(data));

//! `mesa_decoders::protocol` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesa_decoders::protocol::check(data));

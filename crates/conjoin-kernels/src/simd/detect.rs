//! What the processor has, and the system lets the process use.

use super::{Level, level};
use std::sync::OnceLock;

/// Whether products of bfloat16 numbers have an instruction of their own that is worth it: AMX_BF16
/// ([`has_amx`]), or AVX512_BF16 ([`has_pairs`]) on other processors than Intel's, on which it takes twice the
/// time of single precision (measured on an Emerald Rapids Xeon; on an AMD Zen 4 it takes two thirds).
pub fn has_bf16() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| has_amx() || (has_pairs() && !is_intel()))
}

/// Whether the processor has AVX512_BF16 at [`Level::Avx512`], unless `CONJOIN_SIMD=avx512-nobf16` asks to do
/// without.
pub fn has_pairs() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let asked = std::env::var("CONJOIN_SIMD").as_deref() != Ok("avx512-nobf16");
        asked && level() == Level::Avx512 && bf16_detected()
    })
}

/// Whether matrices of bfloat16 numbers are multiplied a tile at a time: AMX_BF16 where [`has_pairs`] holds and
/// the system lets the process use it, unless `CONJOIN_SIMD=avx512-noamx` asks to do without.
pub fn has_amx() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let asked = std::env::var("CONJOIN_SIMD").as_deref() != Ok("avx512-noamx");
        asked && has_pairs() && amx_detected()
    })
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn amx_detected() -> bool {
    super::amx::detected()
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn amx_detected() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn bf16_detected() -> bool {
    is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn bf16_detected() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx] == [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes)
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

/// The widest level that the processor has.
#[cfg(target_arch = "x86_64")]
pub fn widest() -> Level {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return Level::Plain;
    }
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    if wide { Level::Avx512 } else { Level::Avx2 }
}

/// The widest level that the processor has.
#[cfg(not(target_arch = "x86_64"))]
pub fn widest() -> Level {
    Level::Plain
}

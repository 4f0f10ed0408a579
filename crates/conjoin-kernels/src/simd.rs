//! Run-time choice of the instruction set, and the vector functions that the kernels share.
//!
//! A kernel is a [`Kernel`]: data plus one generic function, compiled once per instruction set.
//! [`run`] picks the widest set that the processor has, once per process.
//! `CONJOIN_SIMD=plain|avx2|avx512-nobf16|avx512-noamx|avx512` asks for a narrower one (an unknown or unsupported
//! name is ignored). The instructions for bfloat16 ([`has_bf16`], [`has_amx`]) belong to `avx512`, where the
//! processor has them.
//!
//! Two styles of code live inside [`Kernel::run`]:
//! - loops over slices that call the branch-free scalar functions here ([`exp`], [`tanh`], [`sigmoid`]);
//!   the compiler vectorises them because the whole kernel is inlined below a `#[target_feature]`;
//! - register tiles on [`Isa::Vector`], where the layout of the accumulators matters.
//!
//! Everything a kernel calls must be `#[inline(always)]`, or it is compiled without the wide set.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod detect;

use detect::widest;
use std::sync::OnceLock;

pub use detect::{has_amx, has_bf16, has_pairs};

/// An instruction set, ordered from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the target has.
    Plain,
    /// AVX2 with fused multiply-add: 8 lanes.
    Avx2,
    /// AVX-512 F, VL, DQ and BW: 16 lanes.
    Avx512,
}

/// The level in use: the widest that the processor has, unless `CONJOIN_SIMD` asks for less.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let asked = match std::env::var("CONJOIN_SIMD").as_deref() {
            Ok("plain") => Level::Plain,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        asked.min(widest())
    })
}

/// Work that is compiled once for every instruction set.
pub trait Kernel {
    /// What the kernel returns.
    type Output;
    /// The work. Mark the implementation `#[inline(always)]`.
    fn run<S: Isa>(self, isa: S) -> Self::Output;
}

/// Runs a kernel at the process's [`level`].
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    run_at(level(), kernel)
}

/// Runs a kernel at a given level, or at the widest supported one below it.
#[inline]
pub fn run_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level.min(widest()) {
        // SAFETY: `widest` has just confirmed that the processor has the features.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::run_avx2(kernel) },
        _ => kernel.run(Plain(())),
    }
}

/// A token for an instruction set; only [`run`] makes one, which is what makes its methods safe.
pub trait Isa: Copy + Send + Sync + 'static {
    /// A register of [`Isa::LANES`] numbers.
    type Vector: Copy;
    /// Numbers in a register.
    const LANES: usize;
    /// Registers that a tile of accumulators may take, leaving some for operands.
    const ACCUMULATORS: usize;
    /// Whether `a * b + c` is one instruction.
    const FMA: bool;
    /// The same number in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// The first [`Isa::LANES`] numbers of a slice.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// Writes the lanes to the start of a slice.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    /// `a * b + c`, lane by lane.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Writes the columns of eight rows of eight numbers to rows that begin `stride` apart.
    #[inline(always)]
    fn turn8(self, rows: [&[f32]; 8], to: &mut [f32], stride: usize) {
        for column in 0..8 {
            let to = &mut to[column * stride..][..8];
            for (to, row) in to.iter_mut().zip(rows) {
                *to = row[column];
            }
        }
    }
}

/// The set that every processor has; eight lanes, left to the compiler.
#[derive(Clone, Copy, Debug)]
pub struct Plain(());

impl Isa for Plain {
    type Vector = [f32; 8];
    const LANES: usize = 8;
    const ACCUMULATORS: usize = 6;
    const FMA: bool = false;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 8] {
        [value; 8]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> [f32; 8] {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn store(self, vector: [f32; 8], to: &mut [f32]) {
        to[..8].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Isa, Kernel};
    use std::arch::x86_64::{
        __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_set1_ps,
        _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    /// The columns of eight rows of eight numbers.
    ///
    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn columns(rows: [&[f32]; 8]) -> [__m256; 8] {
        // SAFETY: AVX by the caller; every load is of a slice of eight.
        unsafe {
            let mut r = [_mm256_set1_ps(0.0); 8];
            for (r, row) in r.iter_mut().zip(rows) {
                *r = _mm256_loadu_ps(row[..8].as_ptr());
            }
            // Pairs of rows, then fours (columns c and c + 4 of them), then all eight.
            let mut fours = [_mm256_set1_ps(0.0); 8];
            for half in [0, 4] {
                let low = _mm256_unpacklo_ps(r[half], r[half + 1]);
                let high = _mm256_unpackhi_ps(r[half], r[half + 1]);
                let next_low = _mm256_unpacklo_ps(r[half + 2], r[half + 3]);
                let next_high = _mm256_unpackhi_ps(r[half + 2], r[half + 3]);
                fours[half] = _mm256_shuffle_ps::<0x44>(low, next_low);
                fours[half + 1] = _mm256_shuffle_ps::<0xEE>(low, next_low);
                fours[half + 2] = _mm256_shuffle_ps::<0x44>(high, next_high);
                fours[half + 3] = _mm256_shuffle_ps::<0xEE>(high, next_high);
            }
            for c in 0..4 {
                r[c] = _mm256_permute2f128_ps::<0x20>(fours[c], fours[c + 4]);
                r[c + 4] = _mm256_permute2f128_ps::<0x31>(fours[c], fours[c + 4]);
            }
            r
        }
    }

    /// Runs a kernel with AVX2 and FMA.
    ///
    /// # Safety
    /// The processor must have both.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    /// Runs a kernel with AVX-512 (F, VL, DQ, BW), AVX2 and FMA.
    ///
    /// # Safety
    /// The processor must have all of them.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }

    /// AVX2 and FMA.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2(());

    /// AVX-512.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx512(());

    macro_rules! isa {
        ($token:ty, $vector:ty, $lanes:literal, $accumulators:literal, $set1:ident, $load:ident, $store:ident, $fma:ident) => {
            // The token exists only inside a function compiled for the features, which `run_at` calls only
            // where the processor has them.
            impl Isa for $token {
                type Vector = $vector;
                const LANES: usize = $lanes;
                const ACCUMULATORS: usize = $accumulators;
                const FMA: bool = true;

                #[inline(always)]
                fn splat(self, value: f32) -> $vector {
                    // SAFETY: the token vouches for the features.
                    unsafe { $set1(value) }
                }

                #[inline(always)]
                fn load(self, from: &[f32]) -> $vector {
                    let from = &from[..$lanes];
                    // SAFETY: the token vouches for the features; the slice is as long as a register.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                fn store(self, vector: $vector, to: &mut [f32]) {
                    let to = &mut to[..$lanes];
                    // SAFETY: the token vouches for the features; the slice is as long as a register.
                    unsafe { $store(to.as_mut_ptr(), vector) }
                }

                #[inline(always)]
                fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                    // SAFETY: the token vouches for the features.
                    unsafe { $fma(a, b, c) }
                }

                #[inline(always)]
                fn turn8(self, rows: [&[f32]; 8], to: &mut [f32], stride: usize) {
                    // SAFETY: the token vouches for the features; `columns` checks the rows.
                    let columns = unsafe { columns(rows) };
                    for (c, column) in columns.into_iter().enumerate() {
                        let to = &mut to[c * stride..][..8];
                        // SAFETY: as above; the slice has 8 numbers.
                        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), column) };
                    }
                }
            }
        };
    }

    isa!(
        Avx2,
        __m256,
        8,
        12,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps
    );
    isa!(
        Avx512,
        __m512,
        16,
        24,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps
    );
}

/// `a * b + c`, fused where the set has the instruction (without it the fused form is a slow call).
#[inline(always)]
pub fn mul_add<S: Isa>(_: S, a: f32, b: f32, c: f32) -> f32 {
    if S::FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Splits `x = n ln 2 + r` with `|r| <= ln 2 / 2`; returns `(2^(n-1), e^r - 1)`.
///
/// Needs `-86 <= x <= 88.7`. The series runs to `r^7 / 7!`, whose remainder is below half a unit in the
/// last place.
#[inline(always)]
fn exp_parts<S: Isa>(isa: S, x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const TO_INTEGER: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = mul_add(isa, x, std::f32::consts::LOG2_E, TO_INTEGER);
    let n = shifted - TO_INTEGER;
    let r = mul_add(isa, n, -LN2_LOW, mul_add(isa, n, -LN2_HIGH, x));
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = mul_add(isa, series, r, coefficient);
    }
    let minus_one = mul_add(isa, series, r * r, r);
    let exponent = shifted
        .to_bits()
        .wrapping_sub(TO_INTEGER.to_bits())
        .wrapping_add(126);
    (f32::from_bits(exponent << 23), minus_one)
}

/// `e^x` within 2 units in the last place; 0 below -86, infinity above 88.7, NaN stays NaN.
#[inline(always)]
pub fn exp<S: Isa>(isa: S, x: f32) -> f32 {
    const LOW: f32 = -86.0;
    const HIGH: f32 = 88.72;
    // Comparisons rather than `clamp`, so that NaN passes through.
    let inside = if x < LOW { LOW } else { x };
    let inside = if inside > HIGH { HIGH } else { inside };
    let (half_power, minus_one) = exp_parts(isa, inside);
    let value = mul_add(isa, minus_one, half_power, half_power) * 2.0;
    let value = if x < LOW { 0.0 } else { value };
    if x > HIGH { f32::INFINITY } else { value }
}

/// [`exp`] of a number that is at most 0, which is cheaper; NaN stays NaN.
#[inline(always)]
pub fn exp_down<S: Isa>(isa: S, x: f32) -> f32 {
    const LOW: f32 = -86.0;
    let inside = if x < LOW { LOW } else { x };
    let (half_power, minus_one) = exp_parts(isa, inside);
    let power = half_power + half_power;
    let value = mul_add(isa, minus_one, power, power);
    if x < LOW { 0.0 } else { value }
}

/// `tanh x` within 4 units in the last place, also near 0 (through `e^2x - 1`); NaN stays NaN.
#[inline(always)]
pub fn tanh<S: Isa>(isa: S, x: f32) -> f32 {
    // Beyond 10 the result is 1 in single precision.
    const LIMIT: f32 = 20.0;
    let double = 2.0 * x;
    let double = if double < -LIMIT { -LIMIT } else { double };
    let double = if double > LIMIT { LIMIT } else { double };
    let (half_power, minus_one) = exp_parts(isa, double);
    let power = 2.0 * half_power;
    let expm1 = mul_add(isa, minus_one, power, power - 1.0);
    expm1 / (expm1 + 2.0)
}

/// `1 / (1 + e^-x)`; NaN stays NaN.
#[inline(always)]
pub fn sigmoid<S: Isa>(isa: S, x: f32) -> f32 {
    1.0 / (1.0 + exp(isa, -x))
}

/// Replaces every number of a slice by a function of it, vectorised.
struct Map<'a, F>(&'a mut [f32], F);

/// Which of the shared functions a [`Map`] applies.
trait Function {
    fn apply<S: Isa>(&self, isa: S, x: f32) -> f32;
}

impl<F: Function> Kernel for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        for x in self.0 {
            *x = self.1.apply(isa, *x);
        }
    }
}

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident = $function:ident as $unit:ident;)*) => {$(
        #[derive(Clone, Copy)]
        struct $unit;

        impl Function for $unit {
            #[inline(always)]
            fn apply<S: Isa>(&self, isa: S, x: f32) -> f32 {
                $function(isa, x)
            }
        }

        $(#[$doc])*
        pub fn $name(values: &mut [f32]) {
            run(Map(values, $unit));
        }
    )*};
}

in_place! {
    /// [`exp`] of every number, in place.
    exp_in_place = exp as Exp;
    /// [`tanh`] of every number, in place.
    tanh_in_place = tanh as Tanh;
    /// [`sigmoid`] of every number, in place.
    sigmoid_in_place = sigmoid as Sigmoid;
}

#[cfg(test)]
mod tests;

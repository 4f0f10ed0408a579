//! The few vector operations that the convolution kernels are written in, once per instruction set.
//!
//! Every method is `#[inline(always)]` and unsafe: it must only run inside a function that was
//! compiled for, and dispatched to, the instruction set of the type.

/// A register of `N` f32 lanes.
pub trait Vector: Copy {
    /// Lanes in a register.
    const N: usize;

    /// All lanes zero.
    ///
    /// # Safety
    /// The processor must have the instruction set of the type; so for every method here.
    unsafe fn zero() -> Self;

    /// Every lane `x`.
    ///
    /// # Safety
    /// As for [`Vector::zero`].
    unsafe fn splat(x: f32) -> Self;

    /// Reads `N` values, unaligned.
    ///
    /// # Safety
    /// `p` must be readable for `N` values.
    unsafe fn load(p: *const f32) -> Self;

    /// Writes `N` values, unaligned.
    ///
    /// # Safety
    /// `p` must be writable for `N` values.
    unsafe fn store(self, p: *mut f32);

    /// Writes the first `count` values, at most `N`.
    ///
    /// # Safety
    /// `p` must be writable for `count` values.
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, count: usize) {
        let mut line = [0.0; 16];
        // SAFETY: `line` has room for any register, `p` by the caller.
        unsafe {
            self.store(line.as_mut_ptr());
            p.copy_from_nonoverlapping(line.as_ptr(), count);
        }
    }

    /// `self + other`.
    ///
    /// # Safety
    /// As for [`Vector::zero`].
    unsafe fn add(self, other: Self) -> Self;

    /// `self - other`.
    ///
    /// # Safety
    /// As for [`Vector::zero`].
    unsafe fn sub(self, other: Self) -> Self;

    /// `self * a + b`.
    ///
    /// # Safety
    /// As for [`Vector::zero`].
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;

    /// Asks for the memory at `p`, any address, to be brought near; nothing where there is no such
    /// instruction.
    ///
    /// # Safety
    /// As for [`Vector::zero`].
    unsafe fn prefetch(_p: *const f32) {}
}

/// The portable register: four lanes, which every target's baseline vectorises.
#[derive(Clone, Copy)]
pub struct Portable([f32; 4]);

impl Vector for Portable {
    const N: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 4])
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for four readable values; arrays of f32 need f32's alignment.
        Self(unsafe { p.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for four writable values.
        unsafe { p.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // Not `f32::mul_add`: without the FMA instruction that is a library call per lane.
        Self(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
    }
}

/// Implements [`Vector`] over the intrinsics of one x86-64 register type.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_vector {
    ($name:ident, $raw:ident, $lanes:literal, $zero:ident, $set1:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $fma:ident, $doc:literal, {$($more:tt)*}) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        pub struct $name(std::arch::x86_64::$raw);

        impl Vector for $name {
            const N: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: see the trait: the instruction set is there.
                Self(unsafe { std::arch::x86_64::$zero() })
            }

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: see the trait.
                Self(unsafe { std::arch::x86_64::$set1(x) })
            }

            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                // SAFETY: see the trait; the caller vouches for the memory.
                Self(unsafe { std::arch::x86_64::$load(p) })
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                // SAFETY: see the trait; the caller vouches for the memory.
                unsafe { std::arch::x86_64::$store(p, self.0) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: see the trait.
                Self(unsafe { std::arch::x86_64::$add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: see the trait.
                Self(unsafe { std::arch::x86_64::$sub(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: see the trait.
                Self(unsafe { std::arch::x86_64::$fma(self.0, a.0, b.0) })
            }

            #[inline(always)]
            unsafe fn prefetch(p: *const f32) {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                // SAFETY: any address may be asked for; none is read.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
            }

            $($more)*
        }
    };
}

#[cfg(target_arch = "x86_64")]
x86_vector!(
    Avx2,
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    "AVX2 with FMA: eight lanes.",
    {}
);

#[cfg(target_arch = "x86_64")]
x86_vector!(
    Avx512,
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    "AVX-512F: sixteen lanes.",
    {
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, count: usize) {
            let mask = ((1_u32 << count) - 1) as u16;
            // SAFETY: see the trait; the values beyond `count` are not written.
            unsafe { std::arch::x86_64::_mm512_mask_storeu_ps(p, mask, self.0) }
        }
    }
);

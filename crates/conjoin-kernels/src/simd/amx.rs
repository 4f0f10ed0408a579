//! Whether this process may use AMX: the processor has it, the system saves its registers, and lets the process.
//!
//! Source: Intel, "Architectures Software Developer's Manual", volume 1, chapter 18; Linux,
//! "Using XSTATE features in user space applications".

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// Bits of CPUID's leaf 7, EDX.
const AMX_BF16: u32 = 1 << 22;
const AMX_TILE: u32 = 1 << 24;
/// Bit of CPUID's leaf 1, ECX: `xgetbv` can be executed.
const OSXSAVE: u32 = 1 << 27;
/// Bits of XCR0: the configuration of the tiles, and their data.
const TILES_ARE_SAVED: u64 = 0b11 << 17;
/// The request for a feature's registers, and that of the tiles' data.
const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
const TILE_DATA: libc::c_ulong = 18;

/// Asks processor and system; the answer holds for all threads from then on.
pub fn detected() -> bool {
    has_instructions() && has_usual_tiles() && tiles_are_saved() && allowed()
}

fn has_instructions() -> bool {
    let highest = __cpuid(0).eax;
    highest >= 0x1D && {
        let features = __cpuid_count(7, 0).edx;
        features & AMX_BF16 != 0 && features & AMX_TILE != 0
    }
}

/// The palette that the kernels are written for: eight tiles of 16 rows of 64 bytes.
fn has_usual_tiles() -> bool {
    let palette = __cpuid_count(0x1D, 1);
    let (row_bytes, tiles, rows) = (
        palette.ebx & 0xFFFF,
        palette.ebx >> 16,
        palette.ecx & 0xFFFF,
    );
    (row_bytes, tiles, rows) == (64, 8, 16)
}

fn tiles_are_saved() -> bool {
    // SAFETY: the first condition says that the processor and the system have the instruction.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { xcr0() } & TILES_ARE_SAVED == TILES_ARE_SAVED
}

/// What the system saves of a thread's registers.
///
/// # Safety
/// The processor and the system have `xgetbv`.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: by the caller.
    unsafe { _xgetbv(0) }
}

/// Asks Linux for the tiles' data, for every thread of the process.
fn allowed() -> bool {
    // SAFETY: the call reads its two numbers and no memory of the process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}
